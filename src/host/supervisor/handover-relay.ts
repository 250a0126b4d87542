import type { AgentClient, InitClient } from '#protocol/agent'

/**
 * Carries the five handover messages between init and agent (own-protocols 7). The host sees them all
 * and can only drop, delay or damage them: each side then refuses.
 */
export async function relayHandover(
  agent: AgentClient,
  init: InitClient,
  launchId: Uint8Array,
): Promise<void> {
  let { message } = await init.begin({ launchId })
  for (const answer of [agent, init, agent, init, agent]) {
    ;({ message } = await answer.handover({ message }))
  }
}
