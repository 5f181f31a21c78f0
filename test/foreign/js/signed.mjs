// The rules of the namespace "moot", under which a foreign peer reads signed records: the value is a libp2p signed envelope (RFC 0002) of the record.
import { RecordEnvelope } from '@libp2p/peer-record'
import { peerIdFromPublicKey } from '@libp2p/peer-id'

const prefix = '/moot/'
const payloadType = '/folkmoot/record'
const text = (bytes) => new TextDecoder('utf-8', { fatal: true }).decode(bytes)

// openRecord returns the record that an envelope proves, or throws. network is the network's id in base32.
export async function openRecord (network, value) {
  const envelope = await RecordEnvelope.openAndCertify(value, `folkmoot/${network}/record`)
  if (text(envelope.payloadType) !== payloadType) throw new Error('no record')
  // version uint8, time uint64, expires uint64, flags uint8, key<uint16>, value<uint24>
  const payload = envelope.payload
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength)
  if (view.getUint8(0) !== 1) throw new Error(`records of version ${view.getUint8(0)} are not known here`)
  const keyEnd = 20 + view.getUint16(18)
  const size = view.getUint8(keyEnd) << 16 | view.getUint16(keyEnd + 1)
  if (payload.length !== keyEnd + 3 + size) throw new Error('malformed record')
  return {
    author: peerIdFromPublicKey(envelope.publicKey).toString(),
    time: view.getBigUint64(1), // milliseconds since the Unix epoch times 65,536
    expires: view.getBigUint64(9), // milliseconds since the Unix epoch; 0: never
    deleted: (view.getUint8(17) & 1) === 1,
    key: text(payload.subarray(20, keyEnd)),
    value: payload.slice(keyEnd + 3)
  }
}

// validator and selector are what kadDHT takes for the namespace.
export const validator = (network) => async (key, value) => {
  const record = await openRecord(network, value)
  if (prefix + record.key !== text(key)) throw new Error(`the value is the record ${record.key}`)
  if (record.deleted) throw new Error('the record was deleted')
  if (record.expires !== 0n && record.expires <= BigInt(Date.now())) throw new Error('the record expired')
  const owner = /^own\/([^/]+)\//.exec(record.key)
  if (owner != null && owner[1] !== record.author) throw new Error(`the record belongs to ${owner[1]}`)
}

export const selector = (network) => async (key, values) => {
  const times = await Promise.all(values.map(async (v) => openRecord(network, v).then((r) => r.time, () => -1n)))
  return times.reduce((best, time, i) => time > times[best] ? i : best, 0)
}
