import { DEFAULT_SCRATCH, type GrantedRequests, type HostRequest } from '#lib/launch'
import { evaluate, type ImageFacts, type LaunchRequest, suggestPermit } from '#lib/policy'

/** A question to the launch policy, and what it answered. */
export interface LaunchAnswer {
  readonly question: LaunchRequest
  readonly allowed: boolean
  readonly policyIds: readonly string[]
  /** Set on a deny: a code of docs/errors.md. */
  readonly code?: string
  /** Set on a deny: the narrowest rule that would allow it. */
  readonly next?: string
}

/** The whole decision on one launch: allowed if every answer is. */
export interface LaunchDecision {
  readonly answers: readonly LaunchAnswer[]
  /** The first refusal. */
  readonly refused: LaunchAnswer | undefined
  readonly granted: GrantedRequests
}

/** What the launch policy is asked about. */
export interface LaunchSubject {
  readonly image: ImageFacts
  readonly platform: string
  readonly containerId: string
}

const CODES: Readonly<Record<string, string>> = {
  run: 'LAUNCH_REFUSED',
  'use-key': 'KEY_USE_REFUSED',
  reveal: 'RESOURCE_REVEAL_REFUSED',
  'set-args': 'LAUNCH_ARGS_REFUSED',
  'set-entrypoint': 'LAUNCH_ENTRYPOINT_REFUSED',
  'set-env': 'LAUNCH_ENV_REFUSED',
  'set-user': 'LAUNCH_USER_REFUSED',
  'set-workdir': 'LAUNCH_WORKDIR_REFUSED',
  'set-tty': 'LAUNCH_TTY_REFUSED',
  'set-stdin': 'LAUNCH_STDIN_REFUSED',
  'set-scratch': 'LAUNCH_SCRATCH_REFUSED',
  mount: 'LAUNCH_MOUNT_REFUSED',
}

/** Asks the owner's launch policy one question. Throws POLICY_INVALID for a text that cannot be used. */
export function ask(policy: string, question: LaunchRequest): LaunchAnswer {
  const { allowed, policyIds, code } = evaluate('launch', policy, question)
  if (allowed) return { question, allowed, policyIds }
  return {
    question,
    allowed,
    policyIds,
    code: code ?? CODES[question.action] ?? 'LAUNCH_REFUSED',
    // A policy that errs is corrected, not extended.
    ...(code === undefined ? { next: `add to the launch policy: ${suggestPermit(question)}` } : {}),
  }
}

/**
 * Asks whether the image may run and whether the host may have what it asks for, one question for
 * each field, so that a refusal names the field and the rule (own-protocols 8).
 */
export function decideLaunch(
  policy: string,
  subject: LaunchSubject,
  request: HostRequest,
): LaunchDecision {
  const answers = questions(subject, request).map((question) => ask(policy, question))
  const allowed = (action: LaunchRequest['action']): boolean =>
    answers.some(({ question, allowed }) => question.action === action && allowed)
  return {
    answers,
    refused: answers.find((answer) => !answer.allowed && !isOffer(answer, request)),
    granted: {
      args: allowed('set-args'),
      entrypoint: allowed('set-entrypoint'),
      env: answers.flatMap(({ question, allowed }) =>
        allowed && question.action === 'set-env' ? [question.name] : [],
      ),
      user: allowed('set-user'),
      workdir: allowed('set-workdir'),
      diskScratch: allowed('set-scratch'),
      stdio: 'plain',
    },
  }
}

/** A disk that nobody asked for is taken where it is permitted, and memory where it is not. */
function isOffer({ question }: LaunchAnswer, request: HostRequest): boolean {
  return question.action === 'set-scratch' && request.scratch === undefined
}

function questions(subject: LaunchSubject, request: HostRequest): LaunchRequest[] {
  const { args, entrypoint, user, workdir } = request
  const asked: LaunchRequest[] = [{ ...subject, action: 'run' }]
  if (entrypoint !== undefined)
    asked.push({ ...subject, action: 'set-entrypoint', args: entrypoint })
  if (args !== undefined) asked.push({ ...subject, action: 'set-args', args })
  for (const [name, value] of Object.entries(request.env)) {
    asked.push({ ...subject, action: 'set-env', name, value })
  }
  if (user !== undefined) asked.push({ ...subject, action: 'set-user', user })
  if (workdir !== undefined) asked.push({ ...subject, action: 'set-workdir', path: workdir })
  if (request.tty) asked.push({ ...subject, action: 'set-tty' })
  if (request.stdin) asked.push({ ...subject, action: 'set-stdin' })
  // Memory needs no permission: nobody but init can see it.
  const { kind = 'disk', size = DEFAULT_SCRATCH.disk } = request.scratch ?? {}
  if (kind === 'disk') asked.push({ ...subject, action: 'set-scratch', kind, size })
  for (const { source, target, readOnly } of request.mounts) {
    asked.push({ ...subject, action: 'mount', source, destination: target, readOnly })
  }
  return asked
}
