/** Whether an annotation says `true`. */
export function isTrueAnnotation(annotations: Readonly<Record<string, string>> | undefined, name: string): boolean {
  return annotations?.[name] === 'true'
}

/**
 * On a NetworkAttachmentDefinition: `"true"` lets the guests there send from any MAC and address, as routers and bonds have to.
 * Otherwise each is held to its card's MAC and to the addresses that the network gave it.
 */
export const anySourceAnnotation = 'patchbay.dev/any-source'
