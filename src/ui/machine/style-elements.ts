/**
 * Runs what makes style elements, as libraries do that style themselves: the page's policy does not allow them, so each one stands
 * for a style sheet that is made at run time, which the policy does allow.
 */
export function withoutStyleElements(work: () => void): void {
  const create = document.createElement.bind(document)
  const value = (tag: string) => (tag === 'style' ? styleElement() : create(tag))
  Object.defineProperty(document, 'createElement', { configurable: true, value })
  try {
    work()
  } finally {
    // What is below is the browser's own.
    Reflect.deleteProperty(document, 'createElement')
  }
}

/** An element whose text is a style sheet of the document as long as the element is there. */
function styleElement(): HTMLElement {
  const element = Document.prototype.createElement.call(document, 'span')
  element.hidden = true
  const sheet = new CSSStyleSheet()
  document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet]
  let text = ''
  Object.defineProperty(element, 'textContent', {
    get: () => text,
    set: (next: string) => {
      text = next
      sheet.replaceSync(next)
    },
  })
  const remove = element.remove.bind(element)
  element.remove = () => {
    document.adoptedStyleSheets = document.adoptedStyleSheets.filter((one) => one !== sheet)
    remove()
  }
  return element
}
