import { isCoded } from '#lib/errors'
import { discard, type HttpResponse, header } from '#lib/http'
import { ContentCheck, type ContentName, type Descriptor } from '#lib/oci'
import { invalidAnswer, refusal } from './answer.ts'
import type { Session } from './session.ts'

/** What `readBlob` reads. */
export interface BlobRequest {
  readonly session: Session
  readonly repository: string
  readonly scopes: readonly string[]
  readonly descriptor: ContentName & Pick<Descriptor, 'data'>
  readonly signal?: AbortSignal | undefined
}

const MAX_RESUMES = 5
const MIN_PROGRESS = 1024 * 1024

/**
 * A blob, checked while it passes (see `verified` of lib/oci). A connection that breaks is
 * taken up again where it stopped: once in any case, more often if a MiB came in between,
 * so that a server which always breaks ends the read. The hash runs on over all connections:
 * a server that goes on with other bytes is found out at the end like any other.
 */
export async function* readBlob(request: BlobRequest): AsyncGenerator<Uint8Array, void, undefined> {
  const { descriptor } = request
  const what = `blob ${descriptor.digest}`
  const check = new ContentCheck(descriptor, what)
  if (descriptor.data !== undefined) {
    check.update(descriptor.data)
    check.finish()
    yield descriptor.data
    return
  }
  let resumedAt = -MIN_PROGRESS
  for (let resumes = 0; ; resumes++) {
    const start = check.seen
    const { response, skip } = await open(request, start, what)
    try {
      let unread = skip
      for await (const chunk of response.body) {
        const useful = chunk.length <= unread ? undefined : chunk.subarray(unread)
        unread = Math.max(0, unread - chunk.length)
        if (useful === undefined) continue
        check.update(useful)
        yield useful
      }
      check.finish()
      return
    } catch (error) {
      const broken = isCoded(error) && ['NETWORK_BROKEN', 'NETWORK_TIMEOUT'].includes(error.code)
      const progress = check.seen - resumedAt >= MIN_PROGRESS
      if (!broken || !progress || resumes >= MAX_RESUMES) throw error
      resumedAt = check.seen
    }
  }
}

// Opens the blob from byte `start`. A server may ignore Range and send all again: then the
// first `skip` bytes were had before.
async function open(
  request: BlobRequest,
  start: number,
  what: string,
): Promise<{ response: HttpResponse; skip: number }> {
  const attempt = `reading ${what}`
  const get = async (range: boolean): Promise<HttpResponse> => {
    const { response } = await request.session.send({
      method: 'GET',
      url: `/v2/${request.repository}/blobs/${request.descriptor.digest}`,
      headers: range ? { range: `bytes=${start}-` } : {},
      scopes: request.scopes,
      signal: request.signal,
    })
    return response
  }
  let response = await get(start > 0)
  if (response.status === 416 && start > 0) {
    await discard(response)
    response = await get(false)
  }
  if (response.status === 206 && start > 0) {
    if (!isRange(header(response, 'content-range'), start, request.descriptor.size)) {
      await discard(response)
      throw invalidAnswer(attempt, `the answer to a request from byte ${start} on is another range`)
    }
    return { response: await plain(response, attempt), skip: 0 }
  }
  if (response.status !== 200) throw await refusal(response, attempt)
  return { response: await plain(response, attempt), skip: start }
}

/** Refuses an answer with a `Content-Encoding`: proxies add one, and then no digest fits. */
export async function plain(response: HttpResponse, attempt: string): Promise<HttpResponse> {
  const encoding = header(response, 'content-encoding')
  if (encoding === undefined || encoding === 'identity') return response
  await discard(response)
  throw invalidAnswer(attempt, 'the answer is encoded although identity was asked for')
}

function isRange(value: string | undefined, start: number, size: number): boolean {
  const match = /^bytes (\d{1,16})-(\d{1,16})\/(\d{1,16}|\*)$/.exec(value ?? '')
  const [, first, last, total] = match ?? []
  return Number(first) === start && Number(last) < size && (total === '*' || Number(total) === size)
}
