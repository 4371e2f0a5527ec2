/** The part of noVNC that the page uses; the package has no types of its own. */
declare module '@novnc/novnc' {
  export default class RFB extends EventTarget {
    constructor(target: HTMLElement, channel: WebSocket)
    scaleViewport: boolean
    disconnect(): void
  }
}
