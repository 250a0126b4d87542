import type { Command } from '#lib/command'
import { CodedError } from '#lib/errors'
import { base64, string } from '#lib/json'
import { openInputs, type StartedJob, startJob } from '../start-job.ts'
import { newId } from './container-name.ts'
import { banner, checkTee, ENCLAVE_OPTIONS, errorOf } from './shared.ts'

/** `attest`: the smallest end-to-end check. */
export const attest: Command = {
  path: ['attest'],
  summary: 'Start an agent, attest it, print its token or a resource',
  options: [
    { flags: '--resource <uri>', help: 'print this resource (kbs:///NS/TYPE/TAG) instead' },
    { flags: '--report-data <hex>', help: 'up to 64 bytes to bind into the token' },
    ...ENCLAVE_OPTIONS,
  ],
  example: 'enclave-cc attest --resource kbs:///acme/greeting/hello',
  run: async (context, input) => {
    checkTee(input.text('tee'))
    const reportData = input.text('report-data') ?? ''
    if (!/^([0-9a-fA-F]{2}){0,64}$/.test(reportData)) {
      throw new CodedError('USAGE', '--report-data takes up to 64 bytes in hexadecimal')
    }
    const inputs = openInputs(context, {
      bundle: input.text('bundle'),
      initData: input.text('init-data'),
    })
    let started: StartedJob | undefined
    try {
      banner(context)
      started = startJob(context, inputs, {
        kind: 'attest',
        ...inputs.base,
        id: newId(),
        resource: input.text('resource') ?? '',
        reportData,
        explain: input.flag('explain'),
      })
      const { order } = started
      const cancel = (): void => order({ op: 'cancel' })
      if (context.signal.aborted) cancel()
      else context.signal.addEventListener('abort', cancel, { once: true })
      for await (const event of started.events) {
        if (event.event === 'failed') throw errorOf(event)
        if (event.event !== 'attested') continue
        const { document } = event
        if (document.resource !== undefined) {
          return { document, bytes: base64(document.resource, 'resource') }
        }
        return { document, text: string(document.token, 'token') }
      }
      throw new CodedError('SUPERVISOR_LOST', 'the supervisor ended without a word')
    } catch (error) {
      context.signal.throwIfAborted()
      throw error
    } finally {
      started?.detach()
      inputs.bundle.release()
    }
  },
}
