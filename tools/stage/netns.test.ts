import assert from 'node:assert/strict'
import { test } from 'node:test'
import { mountsBelow } from './netns.ts'

test('what is mounted in a folder that was left behind is taken away from the top', () => {
  const mountinfo = `22 27 0:20 / /sys rw,nosuid - sysfs sysfs rw
58 27 0:51 / /tmp/pb-a/pods rw,relatime - tmpfs tmpfs rw
59 58 0:52 / /tmp/pb-a/pods/x rw,relatime - tmpfs tmpfs rw
60 27 0:53 / /tmp/pb-ab/pods rw,relatime - tmpfs tmpfs rw
`
  assert.deepEqual(mountsBelow('/tmp/pb-a', mountinfo), ['/tmp/pb-a/pods/x', '/tmp/pb-a/pods'])
})
