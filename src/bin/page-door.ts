import { Secret } from '#apis/core/secret.ts'
import type { Log } from '#base/log.ts'
import type { Client } from '#machinery/client/client.ts'
import type { Door } from '#machinery/http/listener.ts'
import type { Guard } from '#machinery/rest/access/guard.ts'
import { passwordKey } from '#ovirt/engine/sign-in/accounts.ts'
import { pageDoor } from '#server/page/door.ts'
import { PageFiles, pageFolder } from '#server/page/files.ts'
import { SignIn } from '#server/page/sign-in.ts'
import type { PageTokens } from '#server/page/tokens.ts'

type Options = Readonly<{
  /** Where the built page is, unless beside the source. */
  folder: string | undefined
  /** The API, which answers all other clients. */
  door: Door
  guard: Guard
  tokens: PageTokens
  /** The server's own client. */
  own: Client
  log: Log
}>

/** The page of this server. The session of a user who has a password ends when that is taken away. */
export function openPageDoor({ folder = pageFolder, door, guard, tokens, own, log }: Options): Door {
  const accountOf = async (user: string) => {
    const key = passwordKey(user)
    const found = await own.get(Secret, key)
    return found && { kind: 'Secret' as const, ...key, uid: found.metadata.uid }
  }
  const signIn = new SignIn({ guard, tokens, accountOf })
  return pageDoor({ files: new PageFiles(folder), api: door, signIn, log })
}
