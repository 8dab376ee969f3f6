package org.moe4j.engine.machine;

import static org.moe4j.engine.machine.Operand.at;
import static org.moe4j.engine.machine.Operand.zmm;

import org.moe4j.engine.machine.Operand.Zmm;

/**
 * A function that lays 32 stored rows out as the blocks of half a panel: see {@link Format}.
 * Arguments: the address of the first stored block, that of the first block of the half panel, the
 * address behind the first row, that of 32 ints, the bytes from the first row to each. Every vector
 * of 16 numbers, one a row, is gathered from the rows.
 */
final class PackProgram {
  private static final Gpr STORED = Gpr.RDI;
  private static final Gpr PACKED = Gpr.RSI;
  private static final Gpr END = Gpr.RDX;
  private static final Gpr PLACES = Gpr.RCX;

  private static final Zmm[] ROWS = {zmm(14), zmm(15)};
  private static final Zmm CONSTANT = zmm(13);
  private static final Zmm UPPER = zmm(12);

  private final Assembler a;
  private final int sixteen;

  private PackProgram(Assembler a, int sixteen) {
    this.a = a;
    this.sixteen = sixteen;
  }

  static void write(Assembler a, WeightFormat format) {
    a.vmovups(ROWS[0], at(PLACES, 0));
    a.vmovups(ROWS[1], at(PLACES, 64));
    int constant = format == WeightFormat.Q8_0 ? 0x80808080 : 0x0f0f0f0f;
    broadcast(a, CONSTANT, constant);
    broadcast(a, UPPER, format == WeightFormat.Q6_K ? 0x03030303 : 0xf0f0f0f0);
    int loop = a.here();
    for (int sixteen = 0; sixteen < 2; sixteen++) {
      new PackProgram(a, sixteen).block(format);
    }
    a.add(STORED, format.storedBytes());
    a.add(PACKED, 2 * format.blockBytes());
    a.cmp(STORED, END);
    a.jb(loop);
    a.vzeroupper();
    a.ret();
  }

  private static void broadcast(Assembler a, Zmm to, int value) {
    a.mov(Gpr.RAX, value);
    a.vpbroadcastd(to, Gpr.RAX);
  }

  private void block(WeightFormat format) {
    switch (format) {
      case Q4_0 -> q4();
      case Q8_0 -> q8();
      case Q4_K -> q4k();
      case Q6_K -> q6k();
    }
  }

  /** Of each row the 32 bits that lie {@code from} the beginning of its block. */
  private Zmm gather(int to, int from) {
    a.vpgatherdd(zmm(to), STORED, ROWS[sixteen], from);
    return zmm(to);
  }

  private void store(int to, Zmm from) {
    a.vmovups(at(PACKED, to), from);
  }

  private void q4() {
    a.vpmovdw(at(PACKED, 32 * sixteen), gather(0, 0));
    for (int v = 0; v < 4; v++) {
      store(64 + sixteen * 256 + v * 64, gather(v, 2 + 4 * v));
    }
  }

  private void q8() {
    a.vpmovdw(at(PACKED, 32 * sixteen), gather(0, 0));
    for (int v = 0; v < 8; v++) {
      Zmm codes = gather(v, 2 + 4 * v);
      a.vpxord(codes, codes, CONSTANT); // each plus 128
      store(64 + sixteen * 512 + v * 64, codes);
    }
  }

  private void q4k() {
    Zmm factors = gather(0, 0);
    a.vpmovdw(at(PACKED, 32 * sixteen), factors);
    a.vpsrld(factors, factors, 16);
    a.vpmovdw(at(PACKED, 64 + 32 * sixteen), factors);
    for (int v = 0; v < 3; v++) {
      store(128 + sixteen * 192 + v * 64, gather(v, 4 + 4 * v));
    }
    for (int i = 0; i < 16; i++) {
      // 32 bytes hold a part in their low halves and the next in their high halves
      int from = 16 + i / 4 * 32 + i % 4 * 4;
      int to = 512 + sixteen * 2048 + i / 4 * 512 + i % 4 * 64;
      nibbles(gather(0, from), gather(1, from + 16), to, to + 256);
    }
  }

  /** The low halves of near and far bytes to one place, the high ones to another. */
  private void nibbles(Zmm near, Zmm far, int low, int high) {
    Zmm lows = zmm(2);
    Zmm highs = zmm(3);
    a.vpslld(lows, far, 4);
    a.vpandd(lows, lows, UPPER);
    a.vpandd(highs, near, CONSTANT);
    a.vpord(lows, lows, highs);
    store(low, lows);
    a.vpsrld(highs, near, 4);
    a.vpandd(highs, highs, CONSTANT);
    a.vpandd(far, far, UPPER);
    a.vpord(highs, highs, far);
    store(high, highs);
  }

  private void q6k() {
    Zmm factors = gather(0, 206); // the last two bytes of a block
    a.vpsrld(factors, factors, 16);
    a.vpmovdw(at(PACKED, 32 * sixteen), factors);
    for (int part = 0; part < 16; part++) {
      Zmm scales = part % 4 == 0 ? gather(0, 192 + part) : zmm(0);
      a.vpmovdb(at(PACKED, 64 + sixteen * 256 + part * 16), scales);
      a.vpsrld(scales, scales, 8);
    }
    broadcast(a, UPPER, 0xf0f0f0f0);
    for (int i = 0; i < 16; i++) {
      int from = i / 8 * 64 + i / 4 % 2 * 32 + i % 4 * 4;
      int to = 576 + sixteen * 2048 + (i / 8 * 4 + i / 4 % 2) * 256 + i % 4 * 64;
      nibbles(gather(0, from), gather(1, from + 16), to, to + 512);
    }
    broadcast(a, UPPER, 0x03030303);
    for (int i = 0; i < 4; i++) {
      for (int v = 0; v < 4; v++) {
        gather(v, 128 + i / 2 * 32 + i % 2 * 16 + 4 * v);
      }
      for (int quarter = 0; quarter < 4; quarter++) {
        twos(quarter, 4672 + sixteen * 1024 + (i / 2 * 4 + quarter) * 128 + i % 2 * 64);
      }
    }
  }

  /** Two bits of each byte of registers 0 to 3, side by side. */
  private void twos(int quarter, int to) {
    for (int v = 0; v < 4; v++) {
      Zmm bits = zmm(4 + v);
      a.vpsrld(bits, zmm(v), 2 * quarter);
      a.vpandd(bits, bits, UPPER);
      a.vpslld(bits, bits, 2 * v);
      if (v > 0) {
        a.vpord(zmm(4), zmm(4), bits);
      }
    }
    store(to, zmm(4));
  }
}
