package org.moe4j.engine.machine;

import static org.moe4j.engine.machine.Operand.at;
import static org.moe4j.engine.machine.Operand.zmm;

import org.moe4j.engine.machine.Operand.Zmm;

/**
 * A function that rounds a row of floats to 8 bits. Arguments: the floats' address, that of the
 * first {@link ByteRecord}, the address behind the last. Of every 32 floats the largest in size, m,
 * gives the scale m / 127, rounded to half precision; codes are the floats times 127 / m, to the
 * nearest, ties to even.
 */
final class QuantiseProgram {
  private static final Gpr VALUES = Gpr.RDI;
  private static final Gpr RECORD = Gpr.RSI;
  private static final Gpr END = Gpr.RDX;

  private static final Zmm ABSOLUTE = zmm(16);
  private static final Zmm MOST_CODE = zmm(17);
  private static final Zmm ZERO = zmm(18);
  private static final Zmm SPARE = zmm(19);
  private static final int SWAP_HALVES = 0x4e;
  private static final int SWAP_NEIGHBOURS = 0xb1;

  private QuantiseProgram() {}

  static void write(Assembler a) {
    a.mov(Gpr.RAX, 0x7fffffff);
    a.vpbroadcastd(ABSOLUTE, Gpr.RAX);
    a.mov(Gpr.RAX, Float.floatToRawIntBits(127));
    a.vpbroadcastd(MOST_CODE, Gpr.RAX);
    a.vpxord(ZERO, ZERO, ZERO);
    int loop = a.here();
    block(a);
    a.add(VALUES, 128);
    a.add(RECORD, ByteRecord.BYTES);
    a.cmp(RECORD, END);
    a.jb(loop);
    a.vzeroupper();
    a.ret();
  }

  private static void block(Assembler a) {
    Zmm first = zmm(0);
    Zmm second = zmm(1);
    Zmm most = zmm(2);
    a.vmovups(first, at(VALUES, 0));
    a.vmovups(second, at(VALUES, 64));
    a.vpandd(most, first, ABSOLUTE);
    a.vpandd(SPARE, second, ABSOLUTE);
    a.vmaxps(most, most, SPARE);
    reduce(a, most, () -> a.vmaxps(most, most, SPARE));

    Zmm inverse = zmm(3);
    a.vdivps(inverse, MOST_CODE, most);
    a.vmulps(first, first, inverse);
    a.vmulps(second, second, inverse);
    a.vcvtps2dq(first, first);
    a.vcvtps2dq(second, second);
    a.vpmovdb(at(RECORD, 0), first);
    a.vpmovdb(at(RECORD, 16), second);

    Zmm scale = zmm(4);
    a.vdivps(scale, most, MOST_CODE);
    a.vcvtps2ph(scale, scale);
    a.vcvtph2ps(scale, scale);
    a.vmovss(at(RECORD, ByteRecord.SCALE), scale);

    Zmm sum = zmm(5);
    a.vpaddd(sum, first, second);
    reduce(a, sum, () -> a.vpaddd(sum, sum, SPARE));
    reduce(a, first, () -> a.vpaddd(first, first, SPARE));
    a.vpslld(first, first, 5);
    a.vpsubd(first, ZERO, first);
    a.vmovss(at(RECORD, ByteRecord.MINUS_32_FIRST), first);
    a.vcvtdq2ps(second, sum);
    a.vmulps(second, second, scale);
    a.vmovss(at(RECORD, ByteRecord.SCALED_SUM), second);
    a.vpslld(sum, sum, 3);
    a.vpsubd(sum, ZERO, sum);
    a.vmovss(at(RECORD, ByteRecord.MINUS_8_SUM), sum);
  }

  /** All lanes become what {@code step}, which combines x with {@link #SPARE}, makes of them. */
  private static void reduce(Assembler a, Zmm x, Runnable step) {
    a.vshuff32x4(SPARE, x, x, SWAP_HALVES);
    step.run();
    a.vshuff32x4(SPARE, x, x, SWAP_NEIGHBOURS);
    step.run();
    a.vpshufd(SPARE, x, SWAP_HALVES);
    step.run();
    a.vpshufd(SPARE, x, SWAP_NEIGHBOURS);
    step.run();
  }
}
