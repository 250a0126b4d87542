import { fromBase64, fromHex } from '#lib/bytes'
import type { Command } from '#lib/command'
import { CodedError } from '#lib/errors'
import { openInputs, startJob } from '../start-job.ts'
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
    if (reportData.length > 128 || fromHex(reportData, '--report-data').length > 64) {
      throw new CodedError('USAGE', '--report-data takes up to 64 bytes in hexadecimal')
    }
    const inputs = openInputs(context, {
      bundle: input.text('bundle'),
      initData: input.text('init-data'),
    })
    banner(context)
    try {
      const started = startJob(context, inputs, {
        kind: 'attest',
        ...inputs.base,
        id: newId(),
        bundle: inputs.bundleDir,
        resource: input.text('resource') ?? '',
        reportData,
        explain: input.flag('explain'),
      })
      context.signal.addEventListener('abort', () => started.order({ op: 'cancel' }))
      for await (const event of started.events) {
        if (event.event === 'failed') {
          context.signal.throwIfAborted()
          throw errorOf(event)
        }
        if (event.event !== 'attested') continue
        const { resource, token } = event.document as { resource?: string; token: string }
        if (resource === undefined) return { document: event.document, text: token }
        return { document: event.document, bytes: fromBase64(resource, 'resource') }
      }
      throw new CodedError('SUPERVISOR_LOST', 'the supervisor ended without a word')
    } finally {
      inputs.bundle.release()
    }
  },
}
