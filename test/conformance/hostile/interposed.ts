import fs from 'node:fs'
import promises, { type FileHandle } from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'
import { mock } from 'node:test'

/** What happens right before step `step` (from 0 on) of what is read from files. */
export type BetweenSteps = (step: number) => void

/**
 * Runs `body` with `between` called right before each operation on files in it, in whatever module: openings,
 * looks at a file's state, readings. A host that changes something there has won every race that it could win.
 * What `between` does itself is not counted. Gives the number of steps.
 */
export async function interposed(
  between: BetweenSteps,
  body: () => Promise<void>,
): Promise<number> {
  let steps = 0
  let inside = false
  const step = (): void => {
    if (inside) return
    inside = true
    try {
      between(steps++)
    } finally {
      inside = false
    }
  }
  for (const name of ['openSync', 'fstatSync', 'lstatSync', 'readSync'] as const) {
    before(fs, name, step)
  }
  before(promises, 'readFile', step)
  const open = promises.open
  mock.method(promises, 'open', async (...args: Parameters<typeof open>): Promise<FileHandle> => {
    step()
    const handle = await open(...args)
    for (const name of ['read', 'stat', 'utimes'] as const) before(handle, name, step)
    return handle
  })
  syncBuiltinESMExports()
  try {
    await body()
  } finally {
    mock.reset()
    syncBuiltinESMExports()
  }
  return steps
}

function before<T extends object>(owner: T, name: keyof T & string, step: () => void): void {
  const genuine = owner[name] as (...args: unknown[]) => unknown
  mock.method(
    owner,
    name as never,
    ((...args: unknown[]) => {
      step()
      return genuine.apply(owner, args)
    }) as never,
  )
}
