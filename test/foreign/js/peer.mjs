// A js-libp2p peer that does what it reads: each line of standard input is a JSON document {op, …}, and is answered by one line of standard output, {result} or
// {error}. It ends with standard input.
//
//   node --import ./polyfill.mjs peer.mjs NETWORK-ID client|server
import { createInterface } from 'node:readline'
import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import { identify } from '@libp2p/identify'
import { kadDHT, passthroughMapper } from '@libp2p/kad-dht'
import { peerIdFromString } from '@libp2p/peer-id'
import { ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { CID } from 'multiformats/cid'
import * as raw from 'multiformats/codecs/raw'
import { sha256 } from 'multiformats/hashes/sha2'
import { openRecord, selector, validator } from './signed.mjs'

const [network, mode] = process.argv.slice(2)
const operationTimeout = 10_000 // milliseconds

const peer = await createLibp2p({
  addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
  transports: [tcp()],
  connectionEncrypters: [noise()],
  streamMuxers: [yamux()],
  services: {
    identify: identify(),
    ping: ping(),
    dht: kadDHT({
      protocol: `/folkmoot/${network}/kad/1.0.0`,
      clientMode: mode === 'client',
      peerInfoMapper: passthroughMapper, // private addresses are addresses
      validators: { v: async () => {}, moot: validator(network) },
      selectors: { v: (key, values) => values.reduce((best, v, i) => v.length > values[best].length ? i : best, 0), moot: selector(network) },
      initialQuerySelfInterval: 200
    })
  }
})
const dht = peer.services.dht

const bytes = (s) => new Uint8Array(Buffer.from(s, 'base64'))
const base64 = (b) => Buffer.from(b).toString('base64')
const cidOf = async (data) => CID.createV1(raw.code, await sha256.digest(bytes(data)))
const options = () => ({ signal: AbortSignal.timeout(operationTimeout) })

const operations = {
  async connect ({ address }) {
    await peer.dial(multiaddr(address), options())
  },
  async known () {
    return dht.routingTable.size
  },
  // put returns how many peers stored the value, and what the others said.
  async put ({ key, value }) {
    let stored = 0
    const errors = []
    for await (const e of dht.put(bytes(key), bytes(value), options())) {
      if (e.name === 'QUERY_ERROR') errors.push(e.error.message)
      if (e.name === 'PEER_RESPONSE' && e.messageName === 'PUT_VALUE' && e.record != null) stored++
    }
    return { stored, errors }
  },
  async get ({ key }) {
    let value = null
    for await (const e of dht.get(bytes(key), options())) {
      if (e.name === 'VALUE') value = base64(e.value)
    }
    return value
  },
  async open ({ value }) {
    const record = await openRecord(network, bytes(value))
    return { key: record.key, value: base64(record.value), author: record.author }
  },
  async provide ({ data }) {
    for await (const _ of dht.provide(await cidOf(data), options())) { /* to the end */ }
  },
  async providers ({ data }) {
    const found = new Set()
    for await (const e of dht.findProviders(await cidOf(data), options())) {
      if (e.name === 'PROVIDER') e.providers.forEach((p) => found.add(p.id.toString()))
    }
    return [...found]
  },
  async find ({ id }) {
    for await (const e of dht.findPeer(peerIdFromString(id), options())) {
      if (e.name === 'FINAL_PEER') return e.peer.multiaddrs.map(String)
    }
    return []
  }
}

const say = (document) => process.stdout.write(JSON.stringify(document) + '\n')
say({ result: { id: peer.peerId.toString(), addresses: peer.getMultiaddrs().map(String) } })
for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line)
  try {
    say({ result: await operations[request.op](request) ?? null })
  } catch (err) {
    say({ error: `${err.name}: ${err.message}` })
  }
}
await peer.stop()
process.exit(0)
