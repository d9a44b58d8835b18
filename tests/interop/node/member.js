// A member of a group: `member HOST:PORT SETTINGS` joins it until standard input ends. What it prints
// is described in tests/interop/clients/member.py.

// Microseconds of the machine's clock, which all programs read. Node.js only tells its milliseconds, and
// performance.timeOrigin misses it by some of them where a process is kept from running as it starts.
let offset = performance.timeOrigin
const now = () => {
  const [wall, running] = [Date.now(), performance.now()]
  offset = Math.min(Math.max(offset, wall - running), wall + 1 - running)
  return Math.floor((running + offset) * 1000)
}
for (const begun = Date.now(); Date.now() < begun + 3;) now()


export class Notes {
  constructor (text) {
    this.settings = JSON.parse(text)
    this.owned = null
    this.pending = null
    this.left = false
    this.leaving = new Promise(resolve => process.stdin.on('end', resolve).on('close', resolve).resume())
  }

  begin () {
    return now()
  }

  note (event, fields) {
    process.stdout.write(JSON.stringify({ event, client: this.settings.client, at: now(), ...fields }) + '\n')
  }

  // A rebalance: what is owned is given back now, or was lost before: the next join tells.
  rebalancing (memberId) {
    if (this.owned !== null) {
      this.pending = { partitions: this.owned, memberId, at: now() }
      this.owned = null
    }
  }

  // Who is another member than before the rebalance, or heard of none, was put out of the group.
  assigned (partitions, generation, memberId) {
    this.settle(this.pending?.memberId === memberId ? 'revoked' : 'lost')
    if (this.left) return
    this.owned = partitions.map(partition => [this.settings.topic, partition])
    this.note('assigned', { group: this.settings.group, partitions: this.owned, generation })
  }

  // To be called before the client leaves, and when nothing is handed out any more. What is in a
  // rebalance just then may be lost already.
  leave () {
    this.left = true
    this.settle(this.pending === null ? 'revoked' : 'lost')
  }

  settle (event) {
    const { partitions, at } = this.pending ?? { partitions: this.owned, at: now() }
    if (partitions !== null) this.note(event, { group: this.settings.group, partitions, at })
    this.owned = this.pending = null
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
