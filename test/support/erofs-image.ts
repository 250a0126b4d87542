import { readFileSync } from 'node:fs'
import { fromHex } from '#lib/bytes'
import {
  createErofsWriter,
  type ErofsLimits,
  type ErofsSummary,
  type ErofsWriter,
} from '#lib/erofs'

/** Collects an image in memory. */
export class ImageMemory {
  readonly #parts: Uint8Array[] = []
  readonly #patches: { offset: number; bytes: Uint8Array }[] = []

  append(bytes: Uint8Array): void {
    this.#parts.push(bytes.slice())
  }

  rewrite(offset: number, bytes: Uint8Array): void {
    this.#patches.push({ offset, bytes: bytes.slice() })
  }

  /** The whole image, rewritten bytes included. */
  bytes(): Uint8Array {
    const image = new Uint8Array(Buffer.concat(this.#parts))
    for (const { offset, bytes } of this.#patches) image.set(bytes, offset)
    return image
  }
}

/** Writes an image with `build` and gives its bytes. */
export async function buildImage(
  build: (writer: ErofsWriter) => void | Promise<void>,
  limits: Partial<ErofsLimits> = {},
): Promise<{ readonly image: Uint8Array; readonly summary: ErofsSummary }> {
  const sink = new ImageMemory()
  const writer = createErofsWriter({ sink, limits })
  await build(writer)
  const summary = await writer.finish()
  return { image: sink.bytes(), summary }
}

/** The image of test/vectors/erofs/basic.hex. */
export function basicImage(): Uint8Array {
  const path = new URL('../vectors/erofs/basic.hex', import.meta.url)
  const image = new Uint8Array(12_288).fill(0x41, 0x1000, 0x2000)
  for (const line of readFileSync(path, 'utf8').split('\n')) {
    const [offset, bytes] = line.split(': ')
    if (line.startsWith('#') || bytes === undefined) continue
    image.set(fromHex(bytes.replaceAll(' ', ''), 'vector'), Number.parseInt(offset ?? '', 16))
  }
  return image
}
