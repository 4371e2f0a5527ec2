import { VirtualMachineInstanceMigration as Migration } from '#apis/kubevirt/migration.ts'
import { hasClaim, isOver, withClaim } from '#core/migration/phases.ts'
import type { Client } from '#machinery/client/client.ts'
import type { Informer } from '#machinery/client/informer.ts'

/** Migrations as the cache has them, but for those whose claim is being written, or was and has not been seen yet. */
export class Claims {
  readonly #cached: Informer<Migration, 'byVmi'>
  /** By UID, as they were written. */
  readonly #held = new Map<string, Migration>()

  constructor(cached: Informer<Migration, 'byVmi'>) {
    this.#cached = cached
  }

  all(): readonly Migration[] {
    return this.#cached.list().map((one) => this.latest(one))
  }

  latest(migration: Migration): Migration {
    const held = this.#held.get(migration.metadata.uid ?? '')
    return held && !hasClaim(migration) && !isOver(migration) ? held : migration
  }

  hold(migration: Migration): void {
    this.#held.set(migration.metadata.uid ?? '', migration)
  }

  release({ metadata }: Migration): void {
    this.#held.delete(metadata.uid ?? '')
  }

  /** The cache has a newer version of a migration, or no longer has it. */
  seen(migration: Migration, isThere: boolean): void {
    if (!isThere || hasClaim(migration) || isOver(migration)) this.release(migration)
  }
}

/** Claims a migration slot. The claim is stored, so that it counts for every later decision. */
export async function claim(
  client: Client,
  claims: Claims,
  migration: Migration,
  sourceNode: string,
): Promise<undefined> {
  claims.hold(withClaim(migration, sourceNode))
  try {
    await client.modify(
      Migration,
      migration.metadata,
      (current) => {
        const isSame = current.metadata.uid === migration.metadata.uid && !isOver(current)
        return isSame ? withClaim(current, sourceNode) : undefined
      },
      { subresource: 'status' },
    )
  } catch (error) {
    claims.release(migration)
    throw error
  }
}
