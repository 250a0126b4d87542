/** Does work that can wait, once nothing has been asked for a while, unless it is called off: then it is not begun, or hears of it. */
export type Later = (work: (signal: AbortSignal) => Promise<void>) => { cancel(): void }

/** Begins work after `idle` milliseconds; `onDefect` gets what it throws. */
export function laterAfter(idle: number, onDefect: (error: unknown) => void): Later {
  return (work) => {
    const abort = new AbortController()
    const timer = setTimeout(() => void work(abort.signal).catch(onDefect), idle)
    return {
      cancel: () => {
        clearTimeout(timer)
        abort.abort()
      },
    }
  }
}
