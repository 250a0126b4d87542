// Attack: a rule such as `permit (…, action == Action::"set-env", …)` without a condition would let
// the host preload a library, name a proxy or move PATH. These names decide which code runs or whom
// the program trusts, so no policy can hand them to the host; the image may set them (docs/launch.md).

const PREFIXES = [
  'LD_',
  'NODE_',
  'SSL_',
  'PYTHON',
  'OPENSSL_',
  'BASH_FUNC_',
  'PERL5',
  'RUBY',
  'JAVA_TOOL_OPTIONS',
  'JDK_JAVA_OPTIONS',
  '_JAVA_OPTIONS',
  'DOTNET_',
  'CORECLR_',
  'COR_',
  'COMPLUS_',
  'GIT_',
  'LUA_',
  'ERL_',
  'GNUTLS_',
]
const SUFFIXES = ['_PROXY', '_CA_BUNDLE', '_PRELOAD']
const EXACT = [
  // The C library and the shell.
  ...['GLIBC_TUNABLES', 'GCONV_PATH', 'LOCPATH', 'NLSPATH', 'PATH', 'IFS', 'ENV', 'BASH_ENV'],
  ...['SHELLOPTS', 'BASHOPTS', 'PS4', 'CDPATH', 'PROMPT_COMMAND'],
  // Who answers for a name.
  ...['HOSTALIASES', 'LOCALDOMAIN', 'RES_OPTIONS', 'RESOLV_HOST_CONF', 'KRB5_CONFIG'],
  // Code that interpreters load.
  ...['CLASSPATH', 'PHPRC', 'PHP_INI_SCAN_DIR', 'TCLLIBPATH', 'R_PROFILE', 'R_ENVIRON'],
  // Switches of Go's cryptography and of TLS keys written to a file.
  ...['GODEBUG', 'SSLKEYLOGFILE'],
]

const NAME = /^[A-Za-z_][A-Za-z0-9_.-]{0,254}$/

/** True for a name that no policy can grant to the host. Case does not matter (`http_proxy`). */
export function isNeverGrantableEnv(name: string): boolean {
  const upper = name.toUpperCase()
  return (
    !NAME.test(name) ||
    EXACT.includes(upper) ||
    PREFIXES.some((prefix) => upper.startsWith(prefix)) ||
    SUFFIXES.some((suffix) => upper.endsWith(suffix))
  )
}

const PROTECTED = ['/usr', '/bin', '/sbin', '/etc', '/proc', '/sys', '/dev']

/**
 * True for a place that no mount of the host may cover: `/`, `/lib*`, the directories of code,
 * configuration and kernel interfaces, anything inside them, and every path that is not absolute and
 * clean.
 */
export function isNeverGrantableMount(target: string): boolean {
  if (!isCleanPath(target) || target === '/') return true
  return (
    /^\/lib[^/]*(\/|$)/.test(target) ||
    PROTECTED.some((place) => target === place || target.startsWith(`${place}/`))
  )
}

/** True for `/` or an absolute path without `.`, `..`, empty parts, a trailing slash or NUL. */
export function isCleanPath(path: string): boolean {
  if (path === '/') return true
  if (!path.startsWith('/') || path.includes('\0') || path.length > 4095) return false
  return path
    .slice(1)
    .split('/')
    .every((part) => part !== '' && part !== '.' && part !== '..')
}
