import { createErofsWriter, type ErofsSummary, type ErofsWriter } from '#lib/erofs'

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
): Promise<{ readonly image: Uint8Array; readonly summary: ErofsSummary }> {
  const sink = new ImageMemory()
  const writer = createErofsWriter({ sink })
  await build(writer)
  const summary = await writer.finish()
  return { image: sink.bytes(), summary }
}
