/** The promise's outcome, or the abort's reason if that comes first. */
export async function cancellable<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  // where nobody waits for it any more, its failure is no reason to end
  promise.catch(() => {})
  signal.throwIfAborted()
  const aborted = Promise.withResolvers<never>()
  const onAbort = (): void => aborted.reject(signal.reason)
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    return await Promise.race([promise, aborted.promise])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}
