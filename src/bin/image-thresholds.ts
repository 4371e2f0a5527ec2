import type { Command } from 'commander'
import { Fault } from '#base/fault.ts'
import { type ImageThresholds, usualThresholds } from '#core/disk/image-stock.ts'
import { secondsOf } from './options.ts'

/** The options of `addThresholdOptions` as parsed. */
export type GivenThresholds = Readonly<{
  imageGcHighThreshold: string
  imageGcLowThreshold: string
  minimumImageTtlDuration: string
}>

/** Adds the options about the removal of images to a command: kubelet's. */
export function addThresholdOptions(command: Command): Command {
  const { highPercent, lowPercent, minAgeMs } = usualThresholds
  return command
    .option(
      '--image-gc-high-threshold <percent>',
      'how full the disk of the images is when those that nothing uses are removed; 100 removes none',
      String(highPercent),
    )
    .option('--image-gc-low-threshold <percent>', 'how full it may be afterwards', String(lowPercent))
    .option(
      '--minimum-image-ttl-duration <seconds>',
      'how long an image is kept after it came or was used',
      String(minAgeMs / 1000),
    )
}

/** @throws Fault Invalid that names the option */
export function thresholdsOf(given: GivenThresholds): ImageThresholds {
  const { imageGcHighThreshold: high, imageGcLowThreshold: low, minimumImageTtlDuration } = given
  const highPercent = percentOf('--image-gc-high-threshold', high)
  const lowPercent = percentOf('--image-gc-low-threshold', low)
  if (lowPercent >= highPercent)
    throw new Fault('Invalid', `--image-gc-low-threshold ${low} must be less than --image-gc-high-threshold ${high}`)
  const minAgeMs = secondsOf('--minimum-image-ttl-duration', minimumImageTtlDuration)
  return { highPercent, lowPercent, minAgeMs }
}

function percentOf(option: string, text: string): number {
  if (/^\d{1,3}$/.test(text) && Number(text) <= 100) return Number(text)
  throw new Fault('Invalid', `${option} ${text} is no whole number from 0 to 100`)
}
