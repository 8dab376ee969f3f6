package org.moe4j.engine.kernel;

import static org.moe4j.engine.kernel.Vectors.F;
import static org.moe4j.engine.kernel.Vectors.L;

import jdk.incubator.vector.DoubleVector;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorShape;
import jdk.incubator.vector.VectorSpecies;

/** Rows on vectors of 512, 256 or 128 bits, what is left of them number by number. */
final class RowVectors implements RowKernels {
  private static final RowKernels REST = new RowScalars();
  private static final VectorSpecies<Double> D = F.withLanes(double.class);

  /** As many floats as there are doubles in a vector. */
  private static final VectorSpecies<Float> H =
      VectorSpecies.of(float.class, VectorShape.forBitSize(L * 16));

  @Override
  public void squares(float[] x, int at, int count, double[] sums) {
    int whole = count & -16;
    for (int lane = 0; lane < 16; lane += L / 2) {
      DoubleVector sum = DoubleVector.fromArray(D, sums, lane);
      for (int i = at + lane; i < at + whole; i += 16) {
        FloatVector floats = FloatVector.fromArray(H, x, i);
        DoubleVector y = (DoubleVector) floats.convertShape(VectorOperators.F2D, D, 0);
        sum = sum.add(y.mul(y));
      }
      sum.intoArray(sums, lane);
    }
    REST.squares(x, at + whole, count - whole, sums);
  }

  @Override
  public void scale(
      float[] x, int at, float factor, float[] scales, int count, float[] to, int first) {
    int i = 0;
    for (; i + L <= count; i += L) {
      FloatVector y = FloatVector.fromArray(F, x, at + i).mul(factor);
      y.mul(FloatVector.fromArray(F, scales, i)).intoArray(to, first + i);
    }
    RowScalars.scale(x, at, factor, scales, count, to, first, i);
  }

  @Override
  public void add(float[] to, int at, float weight, float[] x, int from, int count) {
    int i = 0;
    for (; i + L <= count; i += L) {
      FloatVector more = FloatVector.fromArray(F, x, from + i).mul(weight);
      FloatVector.fromArray(F, to, at + i).add(more).intoArray(to, at + i);
    }
    REST.add(to, at + i, weight, x, from + i, count - i);
  }

  @Override
  public void turn(float[] x, int at, float[] cosines, float[] sines, int angles, int half) {
    int i = 0;
    for (; i + L <= half; i += L) {
      FloatVector a = FloatVector.fromArray(F, x, at + i);
      FloatVector b = FloatVector.fromArray(F, x, at + half + i);
      FloatVector cosine = FloatVector.fromArray(F, cosines, angles + i);
      FloatVector sine = FloatVector.fromArray(F, sines, angles + i);
      a.mul(cosine).sub(b.mul(sine)).intoArray(x, at + i);
      a.mul(sine).add(b.mul(cosine)).intoArray(x, at + half + i);
    }
    RowScalars.turn(x, at, cosines, sines, angles, half, i);
  }
}
