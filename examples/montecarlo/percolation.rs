//! Site percolation on a square lattice: sites are open with probability `p`; does an open path cross it?

/// splitmix64: small, and good enough to fill a lattice.
fn next(state: &mut u64) -> f64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
}

fn root(parents: &mut [u32], mut site: u32) -> u32 {
    while parents[site as usize] != site {
        parents[site as usize] = parents[parents[site as usize] as usize];
        site = parents[site as usize];
    }
    site
}

fn join(parents: &mut [u32], a: u32, b: u32) {
    let (a, b) = (root(parents, a), root(parents, b));
    parents[a as usize] = b;
}

fn crosses(size: u32, p: f64, random: &mut u64) -> bool {
    let sites = size * size;
    let (top, bottom) = (sites, sites + 1);
    let mut parents: Vec<u32> = (0..sites + 2).collect();
    let open: Vec<bool> = (0..sites).map(|_| next(random) < p).collect();
    for site in 0..sites {
        if !open[site as usize] {
            continue;
        }
        if site < size {
            join(&mut parents, site, top);
        }
        if site >= sites - size {
            join(&mut parents, site, bottom);
        }
        if site % size > 0 && open[site as usize - 1] {
            join(&mut parents, site, site - 1);
        }
        if site >= size && open[(site - size) as usize] {
            join(&mut parents, site, site - size);
        }
    }
    root(&mut parents, top) == root(&mut parents, bottom)
}

/// For each probability in `ps`: how many of `trials` random lattices of `size` times `size` sites are crossed.
fn crossings(size: u32, ps: &[f64], trials: u32, seed: u64) -> Vec<u32> {
    let mut random = seed;
    ps.iter()
        .map(|&p| (0..trials).filter(|_| crosses(size, p, &mut random)).count() as u32)
        .collect()
}
