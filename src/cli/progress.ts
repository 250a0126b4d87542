import { type Progress, printable } from '#lib/command'

const WIDTH = 24

/** Where progress goes. */
export interface ProgressOut {
  readonly isTTY?: boolean
  write(text: string): unknown
}

/** How progress is shown: `auto` draws on a terminal. */
export type ProgressKind = 'auto' | 'plain' | 'json'

/** Progress on stderr: a bar that redraws itself on a terminal, else one line when a step ends. */
export function startProgress(
  label: string,
  out: ProgressOut,
  now: () => number,
  kind: ProgressKind = 'auto',
): Progress {
  return kind === 'json' ? jsonProgress(label, out, now) : drawn(label, out, now, kind)
}

// For programs that show progress themselves; the demo is one.
function jsonProgress(label: string, out: ProgressOut, now: () => number): Progress {
  const started = now()
  let ended = false
  const say = (state: string, more: Readonly<Record<string, unknown>> = {}): void => {
    if (ended) return
    ended = state === 'done' || state === 'fail'
    const seconds = Math.round(now() - started) / 1000
    out.write(`${JSON.stringify({ progress: label, state, seconds, ...more })}\n`)
  }
  say('begin')
  return {
    update: (done, total) => say('update', { done, total }),
    done: (text) => say('done', { text }),
    fail: (text) => say('fail', { text }),
  }
}

function drawn(label: string, out: ProgressOut, now: () => number, kind: ProgressKind): Progress {
  const started = now()
  const terminal = out.isTTY === true && kind === 'auto'
  let last = 0
  let ended = false
  const end = (mark: string, text: string | undefined): void => {
    if (ended) return
    ended = true
    const seconds = ((now() - started) / 1000).toFixed(2)
    const tail = text === undefined ? '' : `  ${printable(text)}`
    out.write(`${terminal ? '\r\u001b[K' : ''}${mark} ${label}${tail}  (${seconds} s)\n`)
  }
  if (terminal) out.write(`  ${label} …`)
  return {
    update(done, total) {
      if (ended || !terminal || now() - last < 50) return
      last = now()
      out.write(`\r\u001b[K  ${label}  ${bar(done, total)}`)
    },
    done: (text) => end('✓', text),
    fail: (text) => end('✗', text),
  }
}

function bar(done: number, total: number | undefined): string {
  const size = `${(done / 1048576).toFixed(1)} MiB`
  if (total === undefined || total === 0) return size
  const part = Math.min(1, done / total)
  const full = Math.round(part * WIDTH)
  return `[${'█'.repeat(full)}${' '.repeat(WIDTH - full)}] ${Math.round(part * 100)}%  ${size}`
}
