package org.moe4j;

import org.moe4j.tensor.Tensor;

/**
 * DeepSeek-V2's communication loss (S40): {@code sum_g f''_g P''_g} per sequence, averaged, over
 * the router's D groups of experts, of which a token may choose from M. f'' is D / M times the
 * share of tokens that go to group g at all, however many of its experts they visit; P'' the sum of
 * its experts' mean probabilities. It is 1 at even use if every token visits M groups, and constant
 * without groups.
 */
public record CommunicationBalance() implements Balance {
  @Override
  public String name() {
    return "deepseek-communication";
  }

  @Override
  public Needs needs() {
    return Needs.choicesWith(Evidence.Kind.PROBABILITIES);
  }

  @Override
  public Declaration declaration() {
    return new Declaration(Grouping.SEQUENCE, Counted.ALL, "through P''; the counts are constants");
  }

  @Override
  public Tensor loss(Routing routing, TokenContext context) {
    TokenChoice r = TokenChoices.require(routing, name());
    Tensor p = TokenChoices.require(r.evidence().probabilities(), "probabilities", name());
    GroupLimit limit = r.gating().groups();
    if (context.tokens() == 0) {
      return TokenChoices.zero(p);
    }
    int sequences = Math.toIntExact(context.sequences());
    int d = limit.groups();
    int each = r.expertCount() / d;
    Tensor real = TokenChoices.realTokens(context, sequences, p);
    Tensor sent = sent(r, d, each).to(p.device()).to(p.dtype());
    Tensor f = perSequence(sent, sequences).div(real).mul((double) d / limit.kept());
    Tensor mass = TokenChoices.onlyReal(p, context);
    Tensor mean = perSequence(mass, sequences).div(real).view(sequences, d, each).sum(2, false);
    return f.mul(mean).sum(1, false).mean();
  }

  private static Tensor perSequence(Tensor rows, int sequences) {
    return rows.reshape(sequences, rows.size(0) / sequences, rows.size(1)).sum(1, false);
  }

  /** [T,D]: 1 where a token chose at least one expert of the group. */
  private static Tensor sent(TokenChoice r, int groups, int each) {
    long[] asked = r.asked().toLongs();
    byte[] sent = new byte[Math.toIntExact(r.tokens() * groups)];
    for (int i = 0; i < asked.length; i++) {
      if (asked[i] >= 0) {
        sent[i / r.k() * groups + (int) asked[i] / each] = 1;
      }
    }
    return Tensor.of(sent, r.tokens(), groups);
  }
}
