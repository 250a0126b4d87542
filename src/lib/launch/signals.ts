const NAMES = [
  'HUP',
  'INT',
  'QUIT',
  'ILL',
  'TRAP',
  'ABRT',
  'BUS',
  'FPE',
  'KILL',
  'USR1',
  'SEGV',
  'USR2',
  'PIPE',
  'ALRM',
  'TERM',
  'STKFLT',
  'CHLD',
  'CONT',
  'STOP',
  'TSTP',
  'TTIN',
  'TTOU',
  'URG',
  'XCPU',
  'XFSZ',
  'VTALRM',
  'PROF',
  'WINCH',
  'IO',
  'PWR',
  'SYS',
]
// What glibc leaves of the real-time signals to programs.
const RTMIN = 34
const RTMAX = 64

/**
 * The number of a signal as images and people name it: `SIGTERM`, `term`, `15`, `SIGRTMIN+3`.
 * Undefined for anything else. x86-64 and arm64 number them alike.
 */
export function signalNumber(name: string): number | undefined {
  const upper = name.toUpperCase().replace(/^SIG/, '')
  if (/^\d{1,2}$/.test(upper)) {
    const number = Number(upper)
    return number >= 1 && number <= RTMAX ? number : undefined
  }
  const realTime = /^RT(MIN|MAX)(?:([+-])(\d{1,2}))?$/.exec(upper)
  if (realTime !== null) {
    const base = realTime[1] === 'MIN' ? RTMIN : RTMAX
    const number = base + Number(`${realTime[2] ?? '+'}${realTime[3] ?? '0'}`)
    return number >= RTMIN && number <= RTMAX ? number : undefined
  }
  const at = NAMES.indexOf(upper)
  return at < 0 ? undefined : at + 1
}
