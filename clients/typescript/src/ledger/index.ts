export { formatAmount, maxAmount, parseAmount } from "./amount.js";
export { InvalidError } from "./read.js";
export { readGenesis, verifyReceipt, type ProvenOperation, type ProvenTransaction, type Statement } from "./receipt.js";
export {
  accountOf, encodeBody, formatAccount, keyPair, maxMemo, maxWindow, parseAccount, parseAsset, signTransfer, transactionID,
  type KeyPair, type KeySet, type Transfer, type TransferBody,
} from "./transaction.js";
