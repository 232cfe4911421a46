//! Reads what cuobjdump prints of machine code.
//!
//! In: the text of `cuobjdump -sass -res-usage`. Out: the entries with their instructions,
//! registers and stack. It knows nothing of what instructions cost.

/// One instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// Its address in the entry.
    pub at: u64,
    /// Whether a predicate guards it.
    pub guarded: bool,
    /// Name with its modifiers, as `LDS.128`.
    pub op: String,
    /// The operands.
    pub operands: String,
}

impl Instruction {
    /// The name without modifiers.
    pub fn name(&self) -> &str {
        self.op.split('.').next().unwrap_or_default()
    }

    /// Where a branch goes.
    pub fn target(&self) -> Option<u64> {
        let last = self.operands.rsplit([' ', ',']).next()?;
        u64::from_str_radix(last.strip_prefix("0x")?, 16).ok()
    }

    /// Whether control may go on to its target. For sm_80 far branches are conditional calls, from
    /// which nothing returns.
    pub fn jumps(&self) -> bool {
        self.name() == "BRA" || (self.name() == "CALL" && self.guarded)
    }

    /// Whether control may go on to the next instruction.
    pub fn falls_through(&self) -> bool {
        let conditional = self.guarded || self.operands.contains(',');
        match self.name() {
            "BRA" => conditional,
            "EXIT" | "RET" | "BRX" | "JMP" => self.guarded,
            _ => true,
        }
    }
}

/// One kernel entry for one GPU generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The generation, as `sm_90`.
    pub arch: String,
    /// The exported symbol.
    pub symbol: String,
    /// Registers a thread.
    pub registers: u32,
    /// Bytes of a thread's stack.
    pub stack: u32,
    /// The code, in order of addresses.
    pub code: Vec<Instruction>,
}

/// Reads a listing.
///
/// # Errors
/// When an entry has no code or no line about its resources: the tool's format has changed.
pub fn read(listing: &str) -> Result<Vec<Entry>, String> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut arch = String::new();
    // Where the lines belong to: resources come in a part of their own.
    let mut usage: Option<String> = None;
    for line in listing.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["code", "for", name] | ["arch", "=", name] => arch = (*name).to_string(),
            ["Function", ":", symbol] => entry(&mut entries, &arch, symbol),
            ["Function", symbol] => usage = symbol.strip_suffix(':').map(str::to_string),
            [first, ..] if first.starts_with("REG:") => {
                let symbol = usage.take().ok_or("resources of no function")?;
                entry(&mut entries, &arch, &symbol);
                let last = entries.last_mut().expect("just found");
                last.registers = resource(&words, "REG:")?;
                last.stack = resource(&words, "STACK:")?;
            }
            _ => {
                if let (Some(last), Some(found)) = (entries.last_mut(), instruction(line)) {
                    last.code.push(found);
                }
            }
        }
    }
    for e in &entries {
        if e.code.is_empty() || e.registers == 0 {
            return Err(format!("cuobjdump shows no code or no registers of {}", e.symbol));
        }
    }
    Ok(entries)
}

/// Puts the entry of this name last, a new one if it is not there.
fn entry(entries: &mut Vec<Entry>, arch: &str, symbol: &str) {
    let known = entries.iter().position(|e| e.arch == arch && e.symbol == symbol);
    let last = match known {
        Some(at) => entries.remove(at),
        None => Entry {
            arch: arch.into(),
            symbol: symbol.into(),
            registers: 0,
            stack: 0,
            code: Vec::new(),
        },
    };
    entries.push(last);
}

fn resource(words: &[&str], name: &str) -> Result<u32, String> {
    let number = words.iter().find_map(|w| w.strip_prefix(name)).and_then(|n| n.parse().ok());
    number.ok_or_else(|| format!("cuobjdump does not say {name}"))
}

/// `/*0080*/   @!P0 BRA 0x30 ;   /* 0xfffffffc00 */`
fn instruction(line: &str) -> Option<Instruction> {
    let (address, rest) = line.trim_start().strip_prefix("/*")?.split_once("*/")?;
    let at = u64::from_str_radix(address, 16).ok()?;
    let text = rest.split_once(';')?.0.trim().trim_start_matches('{').trim();
    let (guarded, text) = match text.strip_prefix('@') {
        Some(guard) => (true, guard.split_once(' ')?.1.trim()),
        None => (false, text),
    };
    let (op, operands) = text.split_once(' ').unwrap_or((text, ""));
    Some(Instruction { at, guarded, op: op.into(), operands: operands.trim().into() })
}
