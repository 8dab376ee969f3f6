package org.moe4j.engine.machine;

import java.io.ByteArrayOutputStream;

/**
 * Instructions as bytes: prefixes, operands and displacements as in Intel's manual (Intel 64 and
 * IA-32 Architectures Software Developer's Manual, volume 2, sections 2.1, 2.2 and 2.7).
 */
class CodeBuffer {
  /** Opcode maps: which escape bytes a prefix stands for. */
  static final int MAP_0F = 1;

  static final int MAP_0F38 = 2;

  static final int MAP_0F3A = 3;

  /** Mandatory prefixes, as EVEX numbers them. */
  static final int PREFIX_NONE = 0;

  static final int PREFIX_66 = 1;

  static final int PREFIX_F3 = 2;

  private static final int WHOLE = 64;
  private static final int NUMBER = 4;

  private final ByteArrayOutputStream bytes = new ByteArrayOutputStream();

  /** What was written so far. */
  final byte[] code() {
    return bytes.toByteArray();
  }

  /** Where the next instruction begins. */
  final int here() {
    return bytes.size();
  }

  /** Fills up to the next line of the cache; what fills it is never run. */
  final void align() {
    while (here() % WHOLE != 0) {
      put(0xcc);
    }
  }

  final void put(int... values) {
    for (int value : values) {
      bytes.write(value);
    }
  }

  final void put32(int value) {
    put(value, value >> 8, value >> 16, value >> 24);
  }

  /** A 64-bit instruction with a register in ModRM.reg and a register in ModRM.rm. */
  final void registers(int opcode, Gpr reg, Gpr rm) {
    put(0x48 | (reg.number() >> 3 << 2) | rm.number() >> 3, opcode);
    put(0xc0 | (reg.number() & 7) << 3 | (rm.number() & 7));
  }

  /** A 64-bit instruction with a register in ModRM.reg and memory. */
  final void registers(int opcode, Gpr reg, Operand.Address m) {
    int high = reg.number() >> 3 << 2 | m.index().number() >> 3 << 1 | m.base().number() >> 3;
    put(0x48 | high, opcode);
    memory(reg.number(), m, 1);
  }

  /**
   * ModRM, SIB and displacement.
   *
   * @param unit what a displacement of one byte counts in: 1, or with EVEX the bytes that are read
   */
  final void memory(int reg, Operand.Address m, int unit) {
    int base = m.base().number() & 7;
    int d = m.displacement();
    boolean sib = m.index() != Gpr.RSP || base == 4;
    boolean small = d % unit == 0 && d / unit == (byte) (d / unit);
    int mode = d == 0 && base != 5 ? 0 : small ? 1 : 2;
    put(mode << 6 | (reg & 7) << 3 | (sib ? 4 : base));
    if (sib) {
      put((m.index().number() & 7) << 3 | base);
    }
    if (mode == 1) {
      put(d / unit);
    } else if (mode == 2) {
      put32(d);
    }
  }

  /** Gathers under mask k1, whose bits it clears; {@code index} is a vector, 0 to 15. */
  final void gather(int reg, Gpr base, int index, int displacement) {
    put(0x62);
    put(
        (~reg & 8) << 4
            | (1 - (index >> 3)) << 6
            | (1 - (base.number() >> 3)) << 5
            | (~reg & 16)
            | MAP_0F38);
    put(0x7c | PREFIX_66, 2 << 5 | 8 | 1, 0x90);
    put(0x80 | (reg & 7) << 3 | 4, (index & 7) << 3 | (base.number() & 7));
    put32(displacement);
  }

  /** A 512-bit instruction of operands of 32 bits that reads whole vectors. */
  final void evex(int map, int prefix, int opcode, int reg, int second, Operand rm) {
    evex(map, prefix, opcode, reg, second, rm, WHOLE);
  }

  /**
   * A 512-bit instruction.
   *
   * @param reg the register in ModRM.reg, or the digit that belongs to the opcode
   * @param second the register in EVEX.vvvv, 0 for none
   * @param bytes that are read from memory, unless it is broadcast
   */
  final void evex(int map, int prefix, int opcode, int reg, int second, Operand rm, int bytes) {
    boolean broadcast = false;
    int b;
    int x;
    switch (rm) {
      case Operand.Zmm z -> {
        b = z.number() >> 3 & 1;
        x = z.number() >> 4;
      }
      case Operand.Address m -> {
        b = m.base().number() >> 3;
        x = m.index().number() >> 3;
        broadcast = m.broadcast();
      }
    }
    put(0x62);
    put((~reg & 8) << 4 | (1 - x) << 6 | (1 - b) << 5 | (~reg & 16) | map);
    put((~second & 15) << 3 | 4 | prefix);
    put(2 << 5 | (broadcast ? 16 : 0) | (~second & 16) >> 1);
    put(opcode);
    switch (rm) {
      case Operand.Zmm z -> put(0xc0 | (reg & 7) << 3 | (z.number() & 7));
      case Operand.Address m -> memory(reg, m, broadcast ? NUMBER : bytes);
    }
  }
}
