// npm run demo: the twelve steps of the flow on real input, then the refusals. Exit 0 only if every
// step and every refusal with its expected code happened. Leaves nothing behind, unless --keep.
import { dirname, join } from 'node:path'
import { World } from '../test/support/world.ts'
import { runFlow } from './demo/flow.ts'
import { runRefusals } from './demo/refusals.ts'
import { Screen } from './demo/screen.ts'

const args = process.argv.slice(2)
const unknown = args.find((word) => !['--keep', '--no-color', '--'].includes(word))
if (unknown !== undefined) {
  console.error(
    `error: unknown flag ${unknown} [USAGE]\nnext: npm run demo -- [--keep] [--no-color]`,
  )
  process.exit(2)
}
if (process.getuid?.() !== 0) {
  console.error(
    'error: the demo mounts and starts containers [ROOT_REQUIRED]\nnext: run it as root',
  )
  process.exit(1)
}
const keep = args.includes('--keep')
const color =
  process.stdout.isTTY === true &&
  !args.includes('--no-color') &&
  process.env.NO_COLOR === undefined

const abort = new AbortController()
let caught: NodeJS.Signals | undefined
for (const name of ['SIGINT', 'SIGTERM'] as const) {
  process.on(name, () => {
    caught ??= name
    abort.abort(new Error(`interrupted by ${name}`))
  })
}

const screen = new Screen(color)
const world = new World('demo')
const kept = join(dirname(import.meta.dirname), '.bootstrap/redis')
const started = performance.now()
let exitCode = 1
try {
  // the test that interrupts the demo many times does not build the same bundle each time
  const reuseBundle = process.env.ENCLAVE_CC_DEMO_REUSE_BUNDLE === '1'
  const flow = await runFlow({ world, screen, kept, signal: abort.signal, reuseBundle })
  await runRefusals({ world, screen, flow, signal: abort.signal })
  screen.line(`\nall of it happened, in ${((performance.now() - started) / 1000).toFixed(1)} s`)
  exitCode = 0
} catch (error) {
  // what died of the same signal may be heard of before the signal itself
  await new Promise((resolve) => setTimeout(resolve, 50))
  if (caught !== undefined) {
    screen.line(`\ninterrupted at: ${screen.current}; cleaning up`)
    exitCode = caught === 'SIGTERM' ? 143 : 130
  } else {
    screen.line(`\nthe demo failed at: ${screen.current}`)
    screen.line(error instanceof Error ? error.message : String(error))
    if (process.env.ENCLAVE_CC_TRACE === '1') console.error(error)
  }
} finally {
  if (keep && exitCode === 0) {
    screen.heading('Kept running; to look around:')
    screen.line(`  export ENCLAVE_CC_ROOT=${world.root} ENCLAVE_CC_STATE=${world.state}`)
    screen.line(`  export ENCLAVE_CC_KBS_DATA=${world.kbsData} ENCLAVE_CC_KBS_URL=${world.kbsUrl}`)
    screen.line(`  export ENCLAVE_CC_INIT_DATA=${world.env.ENCLAVE_CC_INIT_DATA}`)
    screen.line('  npx enclave-cc ps; npx enclave-cc logs demo; npx enclave-cc kbs status')
    screen.line('Ctrl-C ends and removes it all.')
    await new Promise<void>((resolve) => {
      if (abort.signal.aborted) resolve()
      abort.signal.addEventListener('abort', () => resolve())
      setInterval(() => {}, 60_000)
    })
  }
  await world[Symbol.asyncDispose]()
}
process.exit(exitCode)
