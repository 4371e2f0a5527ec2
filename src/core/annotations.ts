/** Whether an annotation is `true`. */
export function isTrueAnnotation(annotations: Readonly<Record<string, string>> | undefined, name: string): boolean {
  return annotations?.[name] === 'true'
}

/**
 * On a NetworkAttachmentDefinition: `"true"` allows the guests on the network to send from any MAC and address, as routers and
 * bonds have to. Otherwise each may send only from its card's MAC and from the addresses that the network assigned.
 */
export const anySourceAnnotation = 'patchbay.dev/any-source'
