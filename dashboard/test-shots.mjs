import { chromium } from "playwright-core";
const base=process.argv[2]??"http://127.0.0.1:7999"; const out=process.argv[3]??"/tmp/dash2-shots";
import fs from "node:fs"; fs.mkdirSync(out,{recursive:true});
const b=await chromium.launch({executablePath:"/usr/bin/chromium",args:["--no-sandbox","--disable-gpu","--disable-quic","--disable-background-networking","--disable-component-update","--disable-sync"]});
const only=process.argv[4]?.split(",");
for (const [w,h,dark] of [[1440,900,false],[1440,900,true],[380,800,false]]) {
  const c=await b.newContext({viewport:{width:w,height:h},colorScheme:dark?"dark":"light"}); const p=await c.newPage();
  p.on("console",m=>["error","warning"].includes(m.type())&&console.log(m.text())); p.on("pageerror",e=>console.log("ERR",e.message));
  await p.addInitScript(()=>localStorage.setItem("folkmoot-tour-seen","yes"));
  for (const [name,path] of Object.entries({network:"#/network",records:"#/records",record:"#/records/welcome",node:"#/node",ledger:"#/ledger",transfer:"#/ledger/transfer",check:"#/ledger/check"})) {
    if(only&&!only.includes(name))continue;
    await p.goto(base+"/"+path); await p.waitForTimeout(1800);
    await p.screenshot({path:`${out}/${name}-${w}${dark?"-dark":""}.png`,fullPage:w<1000||name!=="network"});
    const over=await p.evaluate(()=>document.documentElement.scrollWidth-innerWidth); if(over>0)console.log(name,w,"overflow",over);
  }
  await c.close();
}
await b.close();
