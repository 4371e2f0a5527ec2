import type { NewNic } from '#core/vm/edit-nics.ts'
import { rails } from '../api/cluster.ts'
import { networkNameFor } from '../model/gesture.ts'
import { words } from '../words.ts'
import { type Ask, wish } from './ask.ts'

/** Device models that a guest knows without help; the server says what else there is. */
const models = ['virtio', 'e1000e', 'e1000', 'rtl8139'] as const

/** The choices that a question leaves open. */
export function AskFields({ open }: Readonly<{ open: Ask }>) {
  const { wish: wanted, machine } = open
  if (wanted.do === 'rewire')
    return (
      <div class="fields">
        <NetworkChoice
          namespace={machine.namespace}
          value={wanted.network}
          onChange={(network) => wish(machine, { ...wanted, network })}
        />
      </div>
    )
  if (wanted.do === 'plug') {
    const change = (card: Partial<NewNic>) => wish(machine, { ...wanted, card: { ...wanted.card, ...card } })
    return <CardFields card={wanted.card} namespace={machine.namespace} onChange={change} />
  }
  return null
}

type CardProps = Readonly<{ card: NewNic; namespace: string; onChange: (card: Partial<NewNic>) => void }>

/** The fields of a new card. */
function CardFields({ card, namespace, onChange }: CardProps) {
  const text = (event: Event) => (event.currentTarget instanceof HTMLInputElement ? event.currentTarget.value : '')
  return (
    <div class="fields">
      <label>
        {words.fields.name}
        <input name="name" value={card.name} required onInput={(event) => onChange({ name: text(event) })} />
      </label>
      <NetworkChoice namespace={namespace} value={card.network} onChange={(network) => onChange({ network })} />
      <label>
        {words.fields.mac}
        <input
          name="mac"
          value={card.mac ?? ''}
          placeholder={words.fields.macHint}
          onInput={(event) => onChange({ mac: text(event) || undefined })}
        />
      </label>
      <label>
        {words.fields.model}
        <select
          name="model"
          value={card.model ?? models[0]}
          onChange={(event) => onChange({ model: event.currentTarget.value })}
        >
          {models.map((model) => (
            <option key={model}>{model}</option>
          ))}
        </select>
      </label>
      <label class="check">
        <input
          type="checkbox"
          name="pulled"
          checked={card.link === 'down'}
          onChange={(event) => onChange({ link: event.currentTarget.checked ? 'down' : 'up' })}
        />
        {words.fields.pulled}
      </label>
    </div>
  )
}

type ChoiceProps = Readonly<{ namespace: string; value: string; onChange: (network: string) => void }>

/** The networks that a card can be put on, as a template of a namespace names them. */
function NetworkChoice({ namespace, value, onChange }: ChoiceProps) {
  const choices = rails.value.filter(({ kind }) => kind === 'nad' || kind === 'parking')
  return (
    <label>
      {words.fields.network}
      <select name="network" value={value} onChange={(event) => onChange(event.currentTarget.value)}>
        {choices.map((rail) => (
          <option key={rail.key} value={networkNameFor(rail.key, namespace)}>
            {rail.kind === 'parking' ? rail.name : networkNameFor(rail.key, namespace)}
          </option>
        ))}
      </select>
    </label>
  )
}
