import { ErofsError } from './erofs-error.ts'

/** An image with random access; `read` gives exactly `length` bytes or throws. */
export interface ErofsSource {
  readonly size: number
  read(offset: number, length: number): Uint8Array
}

/** A source over bytes in memory. */
export function memorySource(image: Uint8Array): ErofsSource {
  return {
    size: image.length,
    read(offset, length) {
      if (offset < 0 || offset + length > image.length) throw invalid('a read leaves the image')
      return image.subarray(offset, offset + length)
    },
  }
}

/** One error for every rule that an image breaks. */
export function invalid(found: string): ErofsError {
  return new ErofsError('EROFS_INVALID', `reading an EROFS image: ${found}`)
}
