// A member of a group: `member HOST:PORT SETTINGS` joins it until standard input ends. What it prints
// is described in tests/interop/clients/member.py.

const now = () => Math.round((performance.timeOrigin + performance.now()) * 1000)

export class Notes {
  constructor (text) {
    this.settings = JSON.parse(text)
    this.owned = null
    this.leaving = new Promise(resolve => process.stdin.on('end', resolve).on('close', resolve).resume())
  }

  begin () {
    return now()
  }

  note (event, fields) {
    process.stdout.write(JSON.stringify({ event, client: this.settings.client, at: now(), ...fields }) + '\n')
  }

  // What was held is gone; a client that says nothing of it had lost it.
  assigned (partitions, generation) {
    this.gone('lost')
    this.owned = partitions.map(partition => [this.settings.topic, partition])
    this.note('assigned', { group: this.settings.group, partitions: this.owned, generation })
  }

  gone (event) {
    if (this.owned !== null) {
      this.note(event, { group: this.settings.group, partitions: this.owned })
      this.owned = null
    }
  }

  consumed (partition, records) {
    const { topic, group, isolation } = this.settings
    this.note('consumed', { topic, partition, records, group, isolation })
  }

  committed (begun, partition, offset) {
    const { topic, group } = this.settings
    this.note('committed', { group, begun, offsets: [[topic, partition, offset]] })
  }
}
