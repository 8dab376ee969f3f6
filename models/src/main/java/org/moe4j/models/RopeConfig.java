package org.moe4j.models;

import java.util.List;
import org.moe4j.tensor.MoeException;

/**
 * A rotary position embedding (Su et al. 2021, arXiv 2104.09864): channel pair j of a head is
 * turned by {@code position * f_j}, with {@code f_j = theta^(-2j/R)} before any {@link Scaling}.
 *
 * @param theta base of the frequencies
 * @param rotated R, channels of a head that are turned, the first ones; 0 for all of them
 * @param interleaved whether a pair is channels 2j and 2j+1; if not, j and j + R/2
 * @param scaling how frequencies are stretched for long texts
 */
public record RopeConfig(double theta, int rotated, boolean interleaved, Scaling scaling) {

  /** A stretching of the frequencies. */
  public sealed interface Scaling {
    /** None. */
    record None() implements Scaling {}

    /** All frequencies divided by {@code factor} (position interpolation). */
    record Linear(double factor) implements Scaling {
      /** Checks the factor. */
      public Linear {
        positive("factor", factor);
      }
    }

    /**
     * Beyond {@code original} tokens theta grows with the length N of the text: times {@code
     * (factor N / original - factor + 1)^(R/(R-2))} ("dynamic NTK").
     */
    record Dynamic(double factor, int original) implements Scaling {
      /** Checks the numbers. */
      public Dynamic {
        positive("factor", factor);
        positive("original length", original);
      }
    }

    /**
     * YaRN (Peng et al. 2023, arXiv 2309.00071): slow pairs are interpolated by {@code factor},
     * fast ones kept, those between blended; cosines and sines are multiplied by {@code magnitude}.
     *
     * @param betaFast turns within {@code original} tokens from which a pair is kept
     * @param betaSlow turns up to which a pair is interpolated fully
     * @param truncate whether the bounds of the blend are rounded to whole pairs
     */
    record Yarn(
        double factor,
        int original,
        double betaFast,
        double betaSlow,
        boolean truncate,
        double magnitude)
        implements Scaling {
      /** Checks the numbers. */
      public Yarn {
        positive("factor", factor);
        positive("original length", original);
        positive("beta_fast", betaFast);
        positive("beta_slow", betaSlow);
        positive("attention factor", magnitude);
      }
    }

    /**
     * LongRoPE (Ding et al. 2024, arXiv 2402.13753): each pair's frequency is divided by its own
     * factor, from one list in texts of up to {@code original} tokens, from the other in longer
     * ones; cosines and sines are multiplied by the list's magnitude.
     */
    record LongRope(
        List<Double> shortFactors,
        List<Double> longFactors,
        int original,
        double shortMagnitude,
        double longMagnitude)
        implements Scaling {
      /** Checks the numbers. */
      public LongRope {
        shortFactors = List.copyOf(shortFactors);
        longFactors = List.copyOf(longFactors);
        shortFactors.forEach(f -> positive("short_factor", f));
        longFactors.forEach(f -> positive("long_factor", f));
        positive("original length", original);
      }
    }

    /** No scaling. */
    Scaling NONE = new None();

    private static void positive(String what, double value) {
      if (!(value > 0) || Double.isInfinite(value)) {
        throw new MoeException("rope " + what + " " + value + ": must be a positive number");
      }
    }
  }

  /** Checks the numbers. */
  public RopeConfig {
    if (!(theta > 0) || Double.isInfinite(theta)) {
      throw new MoeException("rope_theta " + theta + ": must be a positive number");
    }
    if (rotated < 0 || rotated % 2 != 0) {
      throw new MoeException("rotated channels " + rotated + ": must be even");
    }
  }

  /** All channels turned in half-split pairs, unscaled. */
  public static RopeConfig of(double theta) {
    return new RopeConfig(theta, 0, false, Scaling.NONE);
  }

  /** With another base. */
  public RopeConfig withTheta(double theta) {
    return new RopeConfig(theta, rotated, interleaved, scaling);
  }

  /** With only the first {@code rotated} channels turned. */
  public RopeConfig withRotated(int rotated) {
    return new RopeConfig(theta, rotated, interleaved, scaling);
  }

  /** With pairs of neighbouring channels, or of the two halves. */
  public RopeConfig withInterleaved(boolean interleaved) {
    return new RopeConfig(theta, rotated, interleaved, scaling);
  }

  /** With a scaling. */
  public RopeConfig with(Scaling scaling) {
    return new RopeConfig(theta, rotated, interleaved, scaling);
  }

  /** Whether a token is turned otherwise in a longer text. */
  public boolean dependsOnLength() {
    return scaling instanceof Scaling.Dynamic || scaling instanceof Scaling.LongRope;
  }

  /** The channels that are turned in heads of {@code headDim}. */
  public int rotatedOf(int headDim) {
    return rotated == 0 ? headDim : rotated;
  }
}
