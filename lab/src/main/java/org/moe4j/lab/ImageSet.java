package org.moe4j.lab;

import java.util.SplittableRandom;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.Tensor;

/**
 * Drawn pictures with their labels, every label as often as any other.
 *
 * @param pixels of each, as {@link ShapeDrawing#draw} gives them
 * @param labels of each
 */
record ImageSet(byte[][] pixels, long[] labels) {
  /** {@code count} pictures that follow from {@code seed}. */
  static ImageSet drawn(int count, long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    byte[][] pixels = new byte[count][];
    long[] labels = new long[count];
    for (int i = 0; i < count; i++) {
      int label = i % ShapeDrawing.LABELS;
      labels[i] = label;
      pixels[i] = ShapeDrawing.draw(label, random.split());
    }
    return new ImageSet(pixels, labels);
  }

  /** How many. */
  int size() {
    return labels.length;
  }

  /** Patches of a picture that is cut into squares of {@code patch} pixels. */
  static int patches(int patch) {
    if (patch < 1 || ShapeDrawing.SIZE % patch != 0) {
      throw new MoeException(
          "patches of " + patch + " pixels do not fill " + ShapeDrawing.SIZE + " pixels");
    }
    int side = ShapeDrawing.SIZE / patch;
    return side * side;
  }

  /**
   * Some of the pictures as patches [B, patches, 3 patch^2], from -1 to 1; patches and the pixels
   * of each in rows.
   */
  Tensor patches(int[] which, int patch) {
    int n = patches(patch);
    int side = ShapeDrawing.SIZE / patch;
    int values = 3 * patch * patch;
    float[] all = new float[which.length * n * values];
    int at = 0;
    for (int i : which) {
      for (int p = 0; p < n; p++) {
        for (int row = 0; row < patch; row++) {
          int y = p / side * patch + row;
          int from = 3 * (y * ShapeDrawing.SIZE + p % side * patch);
          for (int c = 0; c < 3 * patch; c++) {
            all[at++] = (pixels[i][from + c] & 0xff) / 127.5f - 1;
          }
        }
      }
    }
    return Tensor.of(all, which.length, n, values);
  }

  /** The labels of the same [B]. */
  Tensor labels(int[] which) {
    long[] some = new long[which.length];
    for (int i = 0; i < some.length; i++) {
      some[i] = labels[which[i]];
    }
    return Tensor.of(some, some.length);
  }
}
