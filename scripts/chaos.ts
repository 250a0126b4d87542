// npm run chaos -- [--rounds 200] [--seed S]: starts a container, kills one of its processes at a random
// moment, and looks for anything left behind. The seed decides victims and moments; exit 1 on any leak.
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { type Leavings, leavings, left, leftAfter } from '../test/support/leavings.ts'
import { publish, setUpOwner } from '../test/support/owner.ts'
import { until, World } from '../test/support/world.ts'
import { planRounds, type Round } from './chaos-plan.ts'
import { ChaosRun } from './chaos-run.ts'
import { interrupted } from './interrupted.ts'

const { values } = parseArgs({
  args: process.argv.slice(2).filter((word) => word !== '--'),
  options: { rounds: { type: 'string' }, seed: { type: 'string' } },
})
const rounds = Number(values.rounds ?? 200)
const seed = Number(values.seed ?? Date.now() % 1_000_000_000)
if (!(rounds > 0) || !Number.isInteger(rounds) || !Number.isInteger(seed)) {
  console.error('error: usage: chaos [--rounds N] [--seed S] [USAGE]')
  process.exit(2)
}

/** Longest that a command may take to notice that its container is gone. */
const END_SECONDS = 30
/** Says that it runs, and then waits to be ended or killed. */
const PROGRAM = 'trap "exit 0" TERM; echo running; sleep 600 & wait'

/** What a dead supervisor cannot take away itself: the record, and the bundle for the next one. */
const INERT = /^file |^mount erofs \S+\/bundles\//

console.error(`chaos: seed ${seed}, ${rounds} rounds`)
const problems: string[] = []
{
  await using world = new World('chaos')
  const stop = interrupted()
  await world.startRegistry()
  await world.startBroker()
  await world.prepare()
  await setUpOwner(world)
  const image = await publish(world, {
    name: 'acme/chaos:1',
    config: { Entrypoint: ['sh', '-c', PROGRAM] },
  })
  const folders = [world.state, join(world.root, 'containers')]
  // how long a start takes here and now, and the state in which nothing runs
  const startMs = await wholeStart(world, image)
  const clean = leavings(folders)

  for (const round of planRounds(seed, rounds, startMs)) {
    if (stop.aborted) break
    const found = await chaosRound(world, image, round)
    found.push(...(await alive(clean, folders)))
    await forgetContainers(world)
    const remains = await leftAfter(clean, folders)
    for (const line of [...found, ...remains.map((each) => `left behind: ${each}`)]) {
      problems.push(`round ${round.number}: ${describe(round)}: ${line}`)
      console.error(`chaos: ${problems.at(-1)}`)
    }
    // what one round left is counted once
    if (remains.length > 0) break
    if (round.number % 10 === 0) console.error(`chaos: ${round.number} rounds`)
  }
  if (problems.length === 0 && !stop.aborted) await wholeStart(world, image)
}
console.error(`chaos: seed ${seed}, ${rounds} rounds, ${problems.length} leaks`)
process.exitCode = problems.length === 0 ? 0 : 1

function describe({ victim, phase, afterMs, scratch, pool }: Round): string {
  const node = `${scratch} scratch${pool ? ', pool' : ''}`
  return phase === 'start'
    ? `${victim} killed ${afterMs} ms after the command (${node})`
    : `${victim} killed while running (${node})`
}

/** Starts the container, ends it as its user would, and gives the milliseconds until its program ran. */
async function wholeStart(world: World, image: string): Promise<number> {
  const begin = performance.now()
  await using run = new ChaosRun(world, image, { scratch: 'disk', pool: false })
  if (!(await run.running)) throw new Error(`a start without any kill failed:\n${run.stderr}`)
  const ms = performance.now() - begin
  run.command.kill('SIGTERM')
  await run.ended
  return ms
}

/** One container, one kill; gives what is wrong beside what was left behind. */
async function chaosRound(world: World, image: string, round: Round): Promise<string[]> {
  await using run = new ChaosRun(world, image, round)
  const wrong: string[] = []
  if (round.phase === 'running') {
    if (!(await run.running)) wrong.push(`the container did not start: ${run.stderr.trim()}`)
    else if (round.pool) await run.spareReady()
  } else await delay(round.afterMs)
  const killed = await run.kill(round)
  // The container need not care, not even at its start: its user ends it once it runs.
  const survives = ['helper', 'spare'].includes(killed) && (await run.running)
  if (survives) run.command.kill('SIGTERM')
  const timeout = new AbortController()
  const code = await Promise.race([
    run.ended,
    delay(END_SECONDS * 1000, undefined, { signal: timeout.signal }).catch(() => undefined),
  ])
  timeout.abort()
  if (code === undefined) wrong.push(`the command did not end within ${END_SECONDS} s`)
  else if (code === 0 && !survives) wrong.push('the command reported success')
  // A command that dies while it mounts the bundle leaves an empty folder and lock files, with nobody to
  // remove them: the next start must find its way and take them along.
  if (killed === 'command') await wholeStart(world, image)
  return wrong
}

/** Whatever else must go by itself, whoever was killed: processes, mounts, sockets, cgroups. */
async function alive(clean: Leavings, folders: readonly string[]): Promise<string[]> {
  const lines = (): string[] => left(clean, leavings(folders)).filter((line) => !INERT.test(line))
  try {
    await until(async () => lines().length === 0, 'the end')
    return []
  } catch {
    return lines().map((line) => `not ended by itself: ${line}`)
  }
}

/** What the user of the node does about containers that were lost. */
async function forgetContainers(world: World): Promise<void> {
  const { stdout } = await world.ok(['ps', '-a', '-q', '--no-trunc'])
  const ids = stdout.split('\n').filter((id) => id !== '')
  if (ids.length > 0) await world.ok(['rm', '-f', ...ids])
  await world.ok(['pool', 'drain'])
}
