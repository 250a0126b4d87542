import { statSync } from 'node:fs'
import { CodedError } from '#lib/errors'

const DEVICE = '/dev/fuse'
/** Character device 10:229, as the kernel numbers it for good. */
const RDEV = (10 << 8) | 229

/** Throws CodedError FUSE_MISSING where no root filesystem could be served: better said before the work. */
export function needFuseDevice(): void {
  const found = statSync(DEVICE, { throwIfNoEntry: false })
  if (found?.isCharacterDevice() === true && found.rdev === RDEV) return
  const what = found === undefined ? 'it does not exist' : 'it is not the device of that name'
  throw new CodedError('FUSE_MISSING', `looking for ${DEVICE}: ${what}`)
}
