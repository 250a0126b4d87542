import { once } from 'node:events'
import { renameSync, rmSync } from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'

/** What is done with the lines between a command and a spare. */
export interface Interposed {
  /** Called with each line of the command before the spare has it, numbered from 0. */
  readonly fromCommand?: (number: number) => void
  /** Called with each line of the spare before the command has it; false ends the connection instead. */
  readonly fromSpare?: (number: number) => boolean
}

/**
 * Stands between commands and the spare at the socket `path`, which is moved to `aside`. Disposing of it
 * ends the connections; the spare cannot be reached again.
 */
export async function interpose(
  path: string,
  aside: string,
  { fromCommand = () => {}, fromSpare = () => true }: Interposed,
): Promise<AsyncDisposable> {
  renameSync(path, aside)
  const sockets = new Set<Socket>()
  const server = createServer((command) => {
    const spare = connect(aside)
    const end = (): void => {
      for (const socket of [command, spare]) socket.destroy()
    }
    for (const socket of [command, spare]) {
      sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', end)
    }
    onLines(command, (line, number) => {
      fromCommand(number)
      spare.write(line)
    })
    onLines(spare, (line, number) => {
      if (fromSpare(number)) command.write(line)
      else end()
    })
  })
  server.listen(path)
  await once(server, 'listening')
  return {
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
      rmSync(aside, { force: true })
    },
  }
}

function onLines(socket: Socket, act: (line: string, number: number) => void): void {
  let [rest, count] = ['', 0]
  socket.setEncoding('utf8')
  socket.on('data', (text: string) => {
    rest += text
    for (let end = rest.indexOf('\n'); end >= 0; end = rest.indexOf('\n')) {
      const line = `${rest.substring(0, end)}\n`
      rest = rest.substring(end + 1)
      act(line, count++)
    }
  })
}
