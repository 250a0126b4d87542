import { type Progress, printable } from '#lib/command'

const WIDTH = 24

/** Progress on stderr: a bar that redraws itself on a terminal, else one line when a step ends. */
export function startProgress(
  label: string,
  out: { readonly isTTY?: boolean; write(text: string): unknown },
  now: () => number,
): Progress {
  const started = now()
  const terminal = out.isTTY === true
  let drawn = 0
  let ended = false
  const end = (mark: string, text: string | undefined): void => {
    if (ended) return
    ended = true
    const seconds = ((now() - started) / 1000).toFixed(2)
    const tail = text === undefined ? '' : `  ${printable(text)}`
    out.write(`${terminal ? '\r\u001b[K' : ''}${mark} ${label}${tail}  (${seconds} s)\n`)
  }
  return {
    update(done, total) {
      if (ended || !terminal || now() - drawn < 50) return
      drawn = now()
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
