package org.moe4j;

import java.util.Arrays;
import java.util.Optional;
import java.util.stream.Collectors;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.MoeException;
import org.moe4j.tensor.Tensor;

/**
 * Disjoint groups of experts, one for each modality, and which tokens belong to them (S53). Experts
 * are numbered group by group.
 */
final class ModalityGroups {
  /** How a token's modality is known. */
  enum Tags {
    /** Its domain modulo the number of groups; tokens without a domain are of the first. */
    FOLD,
    /** Its domain, which must be the number of a group. */
    DOMAIN,
    /** Its id: of the second group from the first image code on (the paper's rule). */
    ID
  }

  private final int[] sizes;
  private final Tags tags;
  private final long firstImageId;

  private ModalityGroups(int[] sizes, Tags tags, long firstImageId) {
    this.sizes = sizes;
    this.tags = tags;
    this.firstImageId = firstImageId;
  }

  /**
   * Groups of E experts.
   *
   * @param sizes experts of each group, with commas; empty for two groups of half of them
   * @throws MoeException if they are not positive numbers with the sum E
   */
  static ModalityGroups of(String sizes, int experts, Tags tags, long firstImageId) {
    int[] parsed = sizes.isBlank() ? halves(experts) : parse(sizes, experts);
    if (tags == Tags.ID && (parsed.length != 2 || firstImageId < 1)) {
      throw new MoeException(
          "router \"moma\": tags by id tell two modalities apart; give two groups, not "
              + parsed.length
              + ", and first-image-id above 0, not "
              + firstImageId);
    }
    return new ModalityGroups(parsed, tags, firstImageId);
  }

  private static int[] halves(int experts) {
    return experts == 1 ? new int[] {1} : new int[] {experts - experts / 2, experts / 2};
  }

  private static int[] parse(String sizes, int experts) {
    try {
      int[] parsed =
          Arrays.stream(sizes.split(",", -1))
              .map(String::strip)
              .mapToInt(Integer::parseInt)
              .toArray();
      if (Arrays.stream(parsed).allMatch(n -> n > 0) && Arrays.stream(parsed).sum() == experts) {
        return parsed;
      }
    } catch (NumberFormatException e) {
      // Refused below, as numbers that do not fit are.
    }
    throw new MoeException(
        "router \"moma\": group-sizes are \""
            + sizes
            + "\"; give numbers of at least 1 with the sum "
            + experts
            + ", the experts, for example \""
            + Arrays.stream(halves(experts))
                .mapToObj(Integer::toString)
                .collect(Collectors.joining(","))
            + "\"");
  }

  /** M, the number of groups. */
  int count() {
    return sizes.length;
  }

  /** Experts of group m. */
  int size(int m) {
    return sizes[m];
  }

  /** The first expert of group m. */
  int first(int m) {
    return Arrays.stream(sizes, 0, m).sum();
  }

  /** Experts of the largest group. */
  int largest() {
    return Arrays.stream(sizes).max().orElse(0);
  }

  /**
   * The group of each token, [T]; -1 for padding.
   *
   * @throws MoeException if the context does not tell
   */
  int[] of(TokenContext context) {
    long[] tag = new long[Math.toIntExact(context.tokens())];
    switch (tags) {
      case FOLD -> {
        long[] domains = context.domains().map(ModalityGroups::whole).orElse(tag);
        Arrays.setAll(tag, t -> Math.max(domains[t], 0) % count());
      }
      case DOMAIN -> tag = whole(required(context.domains(), "domains, the tags", context));
      case ID -> {
        long[] ids = whole(required(context.ids(), "token ids", context));
        Arrays.setAll(tag, t -> ids[t] >= firstImageId ? 1 : 0);
      }
    }
    Optional<byte[]> real = context.padding().map(Tensor::toBytes);
    int[] group = new int[tag.length];
    for (int t = 0; t < group.length; t++) {
      boolean padding = real.isPresent() && real.get()[t] == 0;
      group[t] = padding ? -1 : checked(tag[t], t, context);
    }
    return group;
  }

  private static long[] whole(Tensor tags) {
    if (tags.dtype() != DType.I64) {
      throw new MoeException("modality tags are " + tags + "; give I64");
    }
    return tags.toLongs();
  }

  private int checked(long tag, int token, TokenContext context) {
    if (tag >= 0 && tag < count()) {
      return (int) tag;
    }
    throw new MoeException(
        "layer "
            + context.layer()
            + ": token "
            + token
            + " has the modality "
            + tag
            + ", and router \"moma\" has "
            + count()
            + " groups of experts; tag it 0 to "
            + (count() - 1));
  }

  private static Tensor required(Optional<Tensor> tags, String what, TokenContext context) {
    return tags.orElseThrow(
        () ->
            new MoeException(
                "layer "
                    + context.layer()
                    + ": router \"moma\" needs "
                    + what
                    + " of its tokens; give the context some, or use tags = \"fold\""));
  }

  /** [T,E] BOOL: whether an expert is of the token's group. */
  Tensor own(int[] group, int experts, Device device) {
    byte[] own = new byte[group.length * experts];
    for (int t = 0; t < group.length; t++) {
      if (group[t] >= 0) {
        int start = t * experts + first(group[t]);
        Arrays.fill(own, start, start + size(group[t]), (byte) 1);
      }
    }
    return Tensor.of(own, group.length, experts).to(DType.BOOL).to(device);
  }
}
