import { type ChildProcess, spawn } from 'node:child_process'
import type { Command } from 'commander'
import { Fault } from '#base/fault.ts'
import type { Terminal } from '#cli/console.ts'
import { ExitError } from '#cli/context.ts'
import type { Choice } from '#cli/kubeconfig.ts'
import type { Self, SshOptions } from '#cli/ssh.ts'
import { asClient, withStreams } from './client-kit.ts'
import { countOf } from './options.ts'

/** Adds the commands that open streams into guests, with virtctl's flags. Their modules are imported when a command runs. */
export function addStreamCommands(program: Command): void {
  addConsoleCommand(program)
  addVncCommands(program)
  addForwardCommand(program)
  addSshCommands(program)
}

type ConsoleFlags = Choice & Readonly<{ timeout: string; tail?: string; log?: boolean }>

function addConsoleCommand(program: Command): void {
  asClient(program.command('console'))
    .argument('<vmi>')
    .description('connect to the serial console of a guest; Ctrl+] ends it')
    .option('--timeout <minutes>', 'how long to wait for the guest to run', '5')
    .option('--tail <lines>', 'lines to show of what was printed before; all that is kept nearby unless given')
    .option('--log', 'only print what is kept of its output')
    .action((vmi: string, { timeout, tail, log, ...choice }: ConsoleFlags) =>
      withStreams(choice, async (context) => {
        const lines = tail === undefined ? undefined : linesOf(tail)
        const { openConsole, printConsoleLog } = await import('#cli/console.ts')
        if (log) return printConsoleLog(context, vmi, lines, process.stdout)
        const timeoutMs = countOf('--timeout', timeout) * 60_000
        const terminal = await userTerminal()
        await openConsole(context, vmi, { timeoutMs, ...(lines !== undefined && { tail: lines }) }, terminal)
      }),
    )
}

/** @throws Fault Invalid */
function linesOf(text: string): number {
  if (!/^\d{1,6}$/.test(text)) throw new Fault('Invalid', `--tail ${text} is no number of lines`)
  return Number(text)
}

async function userTerminal(): Promise<Terminal> {
  const { hearInterrupts } = await import('./interrupts.ts')
  const { stdin, stdout } = process
  const setRaw = (isRaw: boolean) => {
    if (stdin.isTTY) stdin.setRawMode(isRaw)
  }
  // However the process ends, the terminal is given back as it was.
  process.once('exit', () => setRaw(false))
  return { input: stdin, output: stdout, setRaw, isTerminal: stdin.isTTY === true, signal: hearInterrupts().signal }
}

type VncFlags = Choice & Readonly<{ proxyOnly?: boolean; port: string; address: string; preserveSession?: boolean }>

function addVncCommands(program: Command): void {
  const vnc = asClient(program.command('vnc'))
    .argument('<vmi>')
    .description('show the screen of a guest in a VNC viewer')
    .option('--proxy-only', 'start no viewer, and print the port as JSON')
    .option('--port <port>', 'the local port; any unless given', '0')
    .option('--address <address>', 'the local address', '127.0.0.1')
    .option('--preserve-session', 'leave who looks at the screen already alone')
    .action((vmi: string, flags: VncFlags) =>
      withStreams(flags, async (context) => {
        const [{ showScreen }, { hearInterrupts }] = await Promise.all([
          import('#cli/vnc.ts'),
          import('./interrupts.ts'),
        ])
        const { proxyOnly = false, preserveSession = false, address } = flags
        const port = flags.port === '0' ? 0 : countOf('--port', flags.port)
        const { signal } = hearInterrupts()
        const path = process.env.PATH ?? ''
        await showScreen(context, vmi, { proxyOnly, preserveSession, address, port, signal, path })
      }),
    )
  asClient(vnc.command('screenshot'))
    .argument('<vmi>')
    .description('take a picture of the screen of a guest, PNG')
    .requiredOption('-f, --file <file>', 'where it is written; - for the output')
    .action((vmi: string, { file }: { file: string }, command: Command) =>
      // Options that `vnc` has too are read as its own.
      withStreams(command.optsWithGlobals(), async (context) =>
        (await import('#cli/vnc.ts')).saveScreenshot(context, vmi, file, process.stdout),
      ),
    )
}

function addForwardCommand(program: Command): void {
  asClient(program.command('port-forward'))
    .argument('<guest>', 'vm/NAME or vmi/NAME, with /NAMESPACE if it is another one')
    .argument('<ports...>', '[tcp|udp/]LOCAL[:REMOTE]; local port 0 is any')
    .description('forward local ports to ports of a guest')
    .option('--address <address>', 'the local address', '127.0.0.1')
    .option('--stdio', 'connect input and output to the port instead')
    .action((guest: string, ports: string[], flags: Choice & { address: string; stdio?: boolean }) =>
      withStreams(flags, async (context) => {
        const [cli, { targetOf }] = await Promise.all([import('#cli/forward.ts'), import('#cli/streams.ts')])
        const target = targetOf(guest, context.namespace)
        const all = ports.map(cli.forwardOf)
        const [only] = all
        if (flags.stdio) {
          if (!only || all.length > 1 || only.protocol !== 'tcp')
            throw new Fault('Invalid', '--stdio takes one port, by tcp')
          return cli.joinPipes(await cli.openPort(context, target, only), process.stdin, process.stdout)
        }
        const { signal } = (await import('./interrupts.ts')).hearInterrupts()
        await cli.forwardPorts(context, target, { ports: all, address: flags.address }, signal)
      }),
    )
}

type SshFlags = Choice & SshOptions

function addSshCommands(program: Command): void {
  const common = (command: Command) =>
    asClient(command)
      .option('-l, --username <name>', 'the user in the guest')
      .option('-i, --identity-file <file>', 'the private key')
      .option('--known-hosts <file>', 'where keys of guests are kept')
      .option('-t, --local-ssh-opts <option>', 'an option of the local client, as it is', collect, [])
  common(program.command('ssh'))
    .argument('<guest>', '[USER@]KIND/NAME[/NAMESPACE]')
    .description('log in to a guest by the local ssh, through the API')
    .option('-p, --port <port>', 'the port of the guest', '22')
    .option('-c, --command <command>', 'what to run there')
    .action((guest: string, flags: SshFlags) =>
      withStreams(flags, async ({ namespace }) => {
        const { loginOf, sshArguments } = await import('#cli/ssh.ts')
        await become('ssh', sshArguments(selfOf(flags), loginOf(guest, namespace), flags))
      }),
    )
  common(program.command('scp'))
    .argument('<from>', 'a file, or [USER@]KIND/NAME[/NAMESPACE]:PATH')
    .argument('<to>')
    .description('copy files from or to a guest by the local scp, through the API')
    .option('-P, --port <port>', 'the port of the guest', '22')
    .option('-r, --recursive', 'whole folders')
    .option('--preserve', 'keep times and modes')
    .action((from: string, to: string, flags: SshFlags) =>
      withStreams(flags, async ({ namespace }) => {
        const { scpArguments } = await import('#cli/ssh.ts')
        await become('scp', scpArguments(selfOf(flags), [from, to], namespace, flags))
      }),
    )
}

function collect(one: string, all: readonly string[]): string[] {
  return [...all, one]
}

function selfOf({ kubeconfig, context }: Choice): Self {
  const choice = [...(kubeconfig ? ['--kubeconfig', kubeconfig] : []), ...(context ? ['--context', context] : [])]
  return { program: [process.execPath, ...process.execArgv, process.argv[1] ?? ''], choice }
}

/** Runs a program in our place, and ends with its exit code. @throws ExitError */
async function become(program: string, args: readonly string[]): Promise<void> {
  // It has the terminal: what is typed to end it, ends it.
  for (const name of ['SIGINT', 'SIGQUIT'] as const) process.on(name, () => undefined)
  const child: ChildProcess = spawn(program, args, { stdio: 'inherit' })
  const code = await new Promise<number>((resolve, reject) => {
    child.once('error', (cause) =>
      reject(new Fault('Unavailable', `Cannot run ${program}; install Debian's package openssh-client`, { cause })),
    )
    child.once('close', (exit) => resolve(exit ?? 255))
  })
  if (code !== 0) throw new ExitError(code, '')
}
