import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { mkdir, rm, rmdir, writeFile } from 'node:fs/promises'
import { describe, test } from 'node:test'
import { explain } from '#base/fault.ts'
import { must, program } from '../../tools/stage/program.ts'
import { Stage } from '../../tools/stage/stage.ts'

describe('what a test leaves on the host', () => {
  test('fails it, each thing by name, until it is taken away', async () => {
    const stage = await Stage.open()
    const uid = randomUUID()
    const space = `pb-${uid}`
    let child: ChildProcess | undefined
    try {
      await stage.up()
      // A pod that was there and went, as far as anybody can see who looks into the directory.
      await mkdir(`${stage.dir}/pods/${uid}`)
      await rmdir(`${stage.dir}/pods/${uid}`)
      await must('ip', ['netns', 'add', space])
      await must('ip', ['link', 'add', 'br-left', 'type', 'bridge'])
      await must('ip', ['addr', 'add', '10.77.0.1/24', 'dev', 'br-left'])
      await must('nft', ['add', 'table', 'bridge', 'left'])
      await must('iptables', ['-t', 'nat', '-N', 'CNI-left'])
      await mkdir(`${stage.dir}/left`)
      await must('mount', ['-t', 'tmpfs', 'left', `${stage.dir}/left`])
      await mkdir(`${stage.dir}/ipam/left`, { recursive: true })
      await writeFile(`${stage.dir}/ipam/left/10.77.0.2`, uid)
      await writeFile(`/run/left-${uid}`, '')
      child = spawn('cat', [`${stage.dir}/left`, '-'], { stdio: ['pipe', 'ignore', 'ignore'] })
      await assert.rejects(stage[Symbol.asyncDispose](), (error) => {
        const said = explain(error)
        for (const line of [
          `network namespace: ${space}`,
          'link: br-left',
          'address: 10.77.0.1/24 on br-left',
          'nft: bridge left: {"table":{"family":"bridge","name":"left"}}',
          'iptables: nat :CNI-left -',
          `mount: ${stage.dir}/left`,
          'lease: left/10.77.0.2',
          `file: /run/left-${uid}`,
          `process: ${child?.pid} cat ${stage.dir}/left -`,
        ])
          assert.ok(said.split('\n').includes(line), `${line} is not in ${said}`)
        return true
      })
    } finally {
      child?.kill()
      await rm(`/run/left-${uid}`, { force: true })
      await rm(`${stage.dir}/ipam/left`, { recursive: true, force: true })
      await program('umount', [`${stage.dir}/left`])
      await program('iptables', ['-t', 'nat', '-X', 'CNI-left'])
      await program('nft', ['delete', 'table', 'bridge', 'left'])
      await program('ip', ['link', 'delete', 'br-left'])
      await program('ip', ['netns', 'delete', space])
      await stage[Symbol.asyncDispose]()
    }
  })
})
