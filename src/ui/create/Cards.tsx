import { type DraftCard, podChoice } from '../model/new-machine.ts'
import { words } from '../words.ts'

type Props = Readonly<{
  cards: readonly DraftCard[]
  networks: readonly string[]
  onChange: (cards: readonly DraftCard[]) => void
  onAdd: () => void
}>

/** The cards of a new machine. */
export function Cards({ cards, networks, onChange, onAdd }: Props) {
  const replace = (index: number, next: Partial<DraftCard>) =>
    onChange(cards.map((card, at) => (at === index ? { ...card, ...next } : card)))
  return (
    <fieldset>
      <legend>{words.create.cards}</legend>
      {cards.map((card, index) => (
        <div class="draft-card" key={index}>
          <label>
            {words.fields.name}
            <input
              value={card.name}
              required
              onInput={(event) => replace(index, { name: event.currentTarget.value })}
            />
          </label>
          <label>
            {words.fields.network}
            <select value={card.network} onChange={(event) => replace(index, { network: event.currentTarget.value })}>
              {networks.map((network) => (
                <option key={network} value={network}>
                  {network === podChoice ? words.rail.pod : network}
                </option>
              ))}
            </select>
          </label>
          <label class="check">
            <input
              type="checkbox"
              checked={card.isPulled}
              onChange={(event) => replace(index, { isPulled: event.currentTarget.checked })}
            />
            {words.fields.pulled}
          </label>
          <button
            type="button"
            class="icon"
            aria-label={words.create.removeCard(card.name)}
            onClick={() => onChange(cards.filter((_, at) => at !== index))}
          >
            ×
          </button>
        </div>
      ))}
      <button type="button" onClick={onAdd}>
        + {words.create.addCard}
      </button>
    </fieldset>
  )
}
