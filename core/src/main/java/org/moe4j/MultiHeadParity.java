package org.moe4j;

import org.moe4j.tensor.MoeException;

/**
 * The size at which MH-MoE costs as much as an ordinary sparse layer (S41's follow-up on equal
 * cost): the multiplications of the two d x d matrices are taken from the experts' width, then the
 * number of experts follows from equal parameters. The router's own are not counted.
 *
 * @param hidden h of an expert
 * @param experts E, rounded
 * @param exactExperts E before it was rounded
 */
public record MultiHeadParity(int hidden, int experts, double exactExperts) {
  /**
   * The size that matches {@code baseline}.
   *
   * @param heads parts of a token
   * @param k experts of each part
   * @throws MoeException if the baseline's experts are too narrow to pay for the two matrices, or
   *     their width would not be whole
   */
  public static MultiHeadParity of(MoeConfig baseline, int heads, int k) {
    long d = baseline.width();
    int matrices = baseline.form().matrices();
    if (heads < 1 || k < 1 || d % heads != 0) {
      throw new MoeException(
          "equal cost of mh-moe: "
              + heads
              + " heads, top-k "
              + k
              + ", width "
              + d
              + "; give at least 1 each, and heads that divide the width");
    }
    long left = matrices * (long) baseline.topK() * baseline.expertWidth() - 2 * d;
    if (left <= 0 || left % ((long) matrices * k) != 0) {
      throw new MoeException(
          "equal cost of mh-moe: experts of width "
              + (double) left / (matrices * k)
              + " would match "
              + baseline.topK()
              + " of width "
              + baseline.expertWidth()
              + "; choose another width of the baseline's or top-k");
    }
    int hidden = Math.toIntExact(left / ((long) matrices * k));
    double parameters =
        (double) matrices * d * baseline.expertWidth() * baseline.experts() - 2.0 * d * d;
    double exact = parameters * heads / ((double) matrices * d * hidden);
    return new MultiHeadParity(hidden, (int) Math.max(k, Math.round(exact)), exact);
  }
}
