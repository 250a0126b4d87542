import { utf8 } from '#lib/bytes'
import { isCoded } from '#lib/errors'
import type { AgentClient, InitClient } from '#protocol/agent'
import type { EnclaveProcess } from '../launcher/enclave-process.ts'
import { type ContainerEnd, endOf } from './enclave-answers.ts'
import type { Enclave } from './pod.ts'
import { within } from './within.ts'

const REPORT_MS = 10_000
/** For an init that has a container's filesystems to take down. */
const SHUTDOWN_MS = 20_000
const LOST = 137

/** How the container's program ended; an enclave that is gone ends it too. */
export async function waitForEnd(
  agent: Enclave<AgentClient>,
  init: Enclave<InitClient>,
): Promise<ContainerEnd> {
  const lost = (program: string) => (): ContainerEnd => ({
    exitCode: LOST,
    code: 'ENCLAVE_LOST',
    message: `the ${program} enclave ended while its container ran`,
  })
  return await Promise.race([
    init.calls.wait({}).then(endOf, lost('init')),
    // without its agent a container has nobody to answer for it
    agent.process.ended.then(lost('agent')),
  ])
}

/**
 * Lets init take down what it made and end; one that has not ended after `patience` milliseconds, whether it
 * answers or not, is killed.
 */
export async function endInit(
  init: Pick<Enclave<Pick<InitClient, 'shutdown'>>, 'calls'> & {
    readonly process: Pick<EnclaveProcess, 'ended' | 'kill'>
  },
  patience: number = SHUTDOWN_MS,
): Promise<void> {
  init.calls.shutdown({}, { timeoutMs: patience }).catch(() => {})
  await within(init.process.ended, patience)
  await init.process.kill()
}

/** Tells the owner's log, through the agent, why an enclave ended the container. */
export async function reportEnd(agent: AgentClient, id: string, end: ContainerEnd): Promise<void> {
  if (end.code === undefined) return
  const report = { containerId: id, ...end }
  try {
    await agent.report({ json: utf8(JSON.stringify(report)) }, { timeoutMs: REPORT_MS })
  } catch (error) {
    if (!isCoded(error)) throw error
  }
}
