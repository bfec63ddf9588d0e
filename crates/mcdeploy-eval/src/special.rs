//! Functions of probability theory.
//!
//! **Source:** the normal distribution after Hart (1968) as given by West (2005), its inverse
//! after Acklam (2003) with one step of Newton; the incomplete beta function by Lentz's
//! continued fraction, and the logarithm of gamma by Lanczos (g = 7, nine terms).

const TINY: f64 = 1e-300;

/// Probability that a standard normal variable is at most `x`.
pub(crate) fn normal(x: f64) -> f64 {
    let distance = x.abs();
    let density = (-distance * distance / 2.0).exp();
    let tail = if distance > 37.0 {
        0.0
    } else if distance < 7.071_067_811_865_47 {
        let above = [
            3.526_249_659_989_11e-2,
            0.700_383_064_443_688,
            6.373_962_203_531_65,
            33.912_866_078_383,
            112.079_291_497_871,
            221.213_596_169_931,
            220.206_867_912_376,
        ];
        let below = [
            8.838_834_764_831_84e-2,
            1.755_667_163_182_64,
            16.064_177_579_207,
            86.780_732_202_946_1,
            296.564_248_779_674,
            637.333_633_378_831,
            793.826_512_519_948,
            440.413_735_824_752,
        ];
        density * polynomial(&above, distance) / polynomial(&below, distance)
    } else {
        let fraction = [4.0, 3.0, 2.0, 1.0];
        let start = distance + 0.65;
        let build = fraction.iter().fold(start, |build, n| distance + n / build);
        density / build / 2.506_628_274_631
    };
    if x > 0.0 { 1.0 - tail } else { tail }
}

/// The `x` below which a standard normal variable is with `probability`, between 0 and 1.
pub(crate) fn normal_quantile(probability: f64) -> f64 {
    if probability <= 0.0 {
        return f64::NEG_INFINITY;
    }
    if probability >= 1.0 {
        return f64::INFINITY;
    }
    if probability > 0.5 {
        return -normal_quantile(1.0 - probability);
    }
    let rough = if probability < 0.024_25 {
        let q = (-2.0 * probability.ln()).sqrt();
        let above = [
            -7.784_894_002_430_293e-3,
            -0.322_396_458_041_136_5,
            -2.400_758_277_161_838,
            -2.549_732_539_343_734,
            4.374_664_141_464_968,
            2.938_163_982_698_783,
        ];
        let below = [
            7.784_695_709_041_462e-3,
            0.322_467_129_070_039_8,
            2.445_134_137_142_996,
            3.754_408_661_907_416,
            1.0,
        ];
        polynomial(&above, q) / polynomial(&below, q)
    } else {
        let q = probability - 0.5;
        let above = [
            -39.696_830_286_653_76,
            220.946_098_424_520_5,
            -275.928_510_446_968_7,
            138.357_751_867_269,
            -30.664_798_066_147_16,
            2.506_628_277_459_239,
        ];
        let below = [
            -54.476_098_798_224_06,
            161.585_836_858_040_9,
            -155.698_979_859_886_6,
            66.801_311_887_719_72,
            -13.280_681_552_885_72,
            1.0,
        ];
        q * polynomial(&above, q * q) / polynomial(&below, q * q)
    };
    let density = (-rough * rough / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
    rough - (normal(rough) - probability) / density.max(TINY)
}

/// Highest power first.
fn polynomial(coefficients: &[f64], x: f64) -> f64 {
    coefficients.iter().fold(0.0, |sum, c| sum * x + c)
}

fn ln_gamma(x: f64) -> f64 {
    let terms = [
        676.520_368_121_885_1,
        -1_259.139_216_722_402_8,
        771.323_428_777_653_1,
        -176.615_029_162_140_6,
        12.507_343_278_686_905,
        -0.138_571_095_265_720_12,
        9.984_369_578_019_572e-6,
        1.505_632_735_149_311_6e-7,
    ];
    let x = x - 1.0;
    let mut sum = 0.999_999_999_999_809_9;
    let mut at = x;
    for term in terms {
        at += 1.0;
        sum += term / at;
    }
    let base = x + 7.5;
    (2.0 * std::f64::consts::PI).sqrt().ln() + (x + 0.5) * base.ln() - base + sum.ln()
}

/// Probability that a beta variable with parameters `a` and `b`, above 0, is at most `x`.
pub(crate) fn beta(x: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if x >= 1.0 {
        return 1.0;
    }
    let front = ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b) + a * x.ln() + b * (-x).ln_1p();
    if x < (a + 1.0) / (a + b + 2.0) {
        front.exp() * beta_fraction(x, a, b) / a
    } else {
        1.0 - front.exp() * beta_fraction(1.0 - x, b, a) / b
    }
}

#[expect(
    clippy::many_single_char_names,
    reason = "names of the formula, which is found by them"
)]
fn beta_fraction(x: f64, a: f64, b: f64) -> f64 {
    let away = |value: f64| if value.abs() < TINY { TINY } else { value };
    let mut c = 1.0;
    let mut d = 1.0 / away(1.0 - (a + b) * x / (a + 1.0));
    let mut fraction = d;
    let mut m = 0.0;
    // It needs about sqrt(max(a, b)) terms; this is enough for 10^9 rows.
    for _ in 0..40_000 {
        m += 1.0;
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        d = 1.0 / away(1.0 + even * d);
        c = away(1.0 + even / c);
        fraction *= d * c;
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        d = 1.0 / away(1.0 + odd * d);
        c = away(1.0 + odd / c);
        fraction *= d * c;
        if (d * c - 1.0).abs() < 1e-15 {
            break;
        }
    }
    fraction
}

/// The `x` with `beta(x, a, b) = probability`.
pub(crate) fn beta_quantile(probability: f64, a: f64, b: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if beta(middle, a, b) < probability {
            low = middle;
        } else {
            high = middle;
        }
    }
    f64::midpoint(low, high)
}

/// Probability of at most `successes` of `trials`, each with probability `chance`.
pub(crate) fn binomial(successes: f64, trials: f64, chance: f64) -> f64 {
    if successes < 0.0 {
        return 0.0;
    }
    if successes >= trials {
        return 1.0;
    }
    1.0 - beta(chance, successes + 1.0, trials - successes)
}

#[cfg(test)]
mod tests {
    use super::{beta, beta_quantile, binomial, normal, normal_quantile};

    #[track_caller]
    fn near(found: f64, wanted: f64) {
        assert!((found - wanted).abs() < 1e-12, "{found} is not {wanted}");
    }

    // Values of scipy 1.17.1.
    #[test]
    fn distributions_have_the_values_of_scipy() {
        near(normal(-1.0), 0.158_655_253_931_457_05);
        near(normal(2.5), 0.993_790_334_674_223_8);
        near(normal_quantile(0.975), 1.959_963_984_540_054);
        near(normal_quantile(0.001), -3.090_232_306_167_813_5);
        near(beta(0.3, 2.0, 5.0), 0.579_825_0);
        near(binomial(3.0, 10.0, 0.5), 0.171_875);
        near(beta_quantile(0.05, 9.0, 2.0), 0.605_836_697_563_495_2);
    }
}
