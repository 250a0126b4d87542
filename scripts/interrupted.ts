/** Aborted by SIGINT or SIGTERM: long runs stop after what they are doing, and clean up. */
export function interrupted(): AbortSignal {
  const abort = new AbortController()
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.once(name, () => abort.abort(new Error(`interrupted by ${name}`)))
  }
  return abort.signal
}
