/** Whether an annotation says `true`. */
export function isTrueAnnotation(annotations: Readonly<Record<string, string>> | undefined, name: string): boolean {
  return annotations?.[name] === 'true'
}
