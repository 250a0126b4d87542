import { discard, type HttpRequest, type HttpResponse, type Transport } from '#lib/http'
import { isRetryError, isRetryStatus, MAX_TRIES, type RetryClock, retryDelay } from './retry.ts'

/** How requests reach the network. */
export interface Wire {
  readonly transport: Transport
  readonly clock: RetryClock
}

/**
 * One request, repeated while the server is busy or the network fails, at most 5 times. A
 * body that is a stream is sent once: it cannot be read again. The last answer is returned
 * whatever its status.
 */
export async function exchange(wire: Wire, request: HttpRequest): Promise<HttpResponse> {
  const once = request.body !== undefined && !(request.body instanceof Uint8Array)
  for (let attempt = 2; ; attempt++) {
    let response: HttpResponse | undefined
    try {
      response = await wire.transport(request)
      if (once || attempt > MAX_TRIES || !isRetryStatus(response.status)) return response
      await discard(response)
    } catch (error) {
      if (once || attempt > MAX_TRIES || !isRetryError(error, attempt)) throw error
    }
    await wire.clock.sleep(retryDelay(attempt, response, wire.clock), request.signal)
  }
}
