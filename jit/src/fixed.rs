//! The functions that every generation begins with.

use crate::code::Descriptor;
use crate::context::{JUMP_CACHE_SLOTS, JUMP_SLOTS, JumpSlot, code, offset};
use crate::helpers::Helper;
use crate::{host, translate};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{AbiParam, InstBuilder, MemFlagsData, Signature, Value, types};
use cranelift_codegen::isa::CallConv;
use cranelift_frontend::{FunctionBuilder, FunctionBuilderContext};
use cranelift_jit::JITModule;
use cranelift_module::{FuncId, Linkage, Module, ModuleResult};
use std::mem::{offset_of, size_of};

/// What they are called by.
pub struct Fixed {
    /// Enters a region, by the host's ABI.
    pub trampoline: FuncId,
    /// Where unlinked slots lead.
    pub missing: FuncId,
    /// Calls a helper, and preserves all registers.
    pub thunks: [FuncId; Helper::ALL.len()],
    /// Whole machines: goes on at an address, see [`dispatch`].
    pub dispatch: FuncId,
}

impl Fixed {
    /// Compiles them. Those of whole machines are only made for such; otherwise nobody calls what
    /// stands for them.
    #[expect(clippy::result_large_err, reason = "the error is Cranelift's")]
    pub fn define(
        module: &mut JITModule,
        context: &mut cranelift_codegen::Context,
        builder: &mut FunctionBuilderContext,
        system: bool,
    ) -> ModuleResult<Fixed> {
        let trusted = MemFlagsData::trusted();
        let c = CallConv::triple_default(module.isa().triple());
        let region = translate::signature(CallConv::Tail);
        let integer = AbiParam::new(types::I64);

        // From `host::enter`: context, function, entry, sp, a0.
        let mut signature = Signature::new(c);
        signature.params = vec![integer; 5];
        signature.returns = vec![integer];
        let trampoline = define(module, context, builder, &signature, |b, params, _| {
            let region = b.import_signature(region.clone());
            let arguments = [params[0], params[2], params[3], params[4]];
            let call = b.ins().call_indirect(region, params[1], &arguments);
            let result = b.inst_results(call)[0];
            b.ins().return_(&[result]);
        })?;

        // Where unlinked slots lead; the entry is the address of the stub descriptor.
        let missing = define(module, context, builder, &region, |b, params, _| {
            let pc = b.ins().load(
                types::I64,
                trusted,
                params[1],
                offset_of!(Descriptor, pc) as i32,
            );
            if !system {
                go_on_in_draft(b, params, pc, &region);
            }
            b.ins().store(trusted, pc, params[0], offset::PC);
            let result = b.ins().iconst(types::I64, code::MISSING as i64);
            b.ins().return_(&[result]);
        })?;

        // What cold paths call; preserves all registers.
        let mut thunks = [trampoline; Helper::ALL.len()];
        for (thunk, kind) in thunks.iter_mut().zip(Helper::ALL) {
            if kind.is_system() && !system {
                continue;
            }
            let preserves = kind.preserves_all();
            let mut helper = Signature::new(if preserves { CallConv::PreserveAll } else { c });
            helper.params = vec![integer];
            let helper = module.declare_function(kind.name(), Linkage::Import, &helper)?;
            let signature = Signature::new(CallConv::PreserveAll);
            *thunk = define(module, context, builder, &signature, |b, _, module| {
                let helper = module.declare_func_in_func(helper, b.func);
                // Nothing is passed in registers: the way to the context is by the frames, see `host`.
                let mut frame = b.ins().get_frame_pointer(types::I64);
                for _ in 0..host::FRAMES {
                    frame = b.ins().load(types::I64, trusted, frame, 0);
                }
                let context = b
                    .ins()
                    .load(types::I64, trusted, frame, host::CONTEXT_IN_FRAME);
                b.ins().call(helper, &[context]);
                b.ins().return_(&[]);
            })?;
        }
        let mut to = missing;
        if system {
            to = define(module, context, builder, &region, |b, params, _| {
                dispatch(b, params, &region);
            })?;
        }
        module.finalize_definitions()?;
        Ok(Fixed {
            trampoline,
            missing,
            thunks,
            dispatch: to,
        })
    }
}

/// Goes on in the draft at `pc` if the jump cache knows it. Regions that it leads to may have been
/// dropped meanwhile.
fn go_on_in_draft(b: &mut FunctionBuilder<'_>, params: &[Value], pc: Value, region: &Signature) {
    const SHIFT: u32 = size_of::<JumpSlot>().trailing_zeros() - 1;
    const MASK: usize = (JUMP_CACHE_SLOTS - 1) * size_of::<JumpSlot>();
    let trusted = MemFlagsData::trusted();
    let &[context, _, sp, a0] = params else {
        return;
    };
    let scaled = b.ins().ishl_imm_u(pc, i64::from(SHIFT));
    let index = b.ins().band_imm_u(scaled, MASK as i64);
    let slot = b.ins().iadd(context, index);
    let load = |b: &mut FunctionBuilder<'_>, field: usize| {
        let offset = offset::JUMP_CACHE + field as i32;
        b.ins().load(types::I64, trusted, slot, offset)
    };
    let found = load(b, offset_of!(JumpSlot, pc));
    let function = load(b, offset_of!(JumpSlot, function));
    let door = b.ins().load(types::I64, trusted, context, offset::DOOR);
    let other = b.ins().bxor(found, pc);
    let elsewhere = b.ins().bxor(function, door);
    let either = b.ins().bor(other, elsewhere);
    let hit = b.ins().icmp_imm_u(IntCC::Equal, either, 0);
    let (go, stop) = (b.create_block(), b.create_block());
    b.ins().brif(hit, go, &[], stop, &[]);
    b.seal_block(go);
    b.seal_block(stop);
    b.switch_to_block(go);
    let entry = load(b, offset_of!(JumpSlot, entry));
    let region = b.import_signature(region.clone());
    b.ins()
        .return_call_indirect(region, function, &[context, entry, sp, a0]);
    b.switch_to_block(stop);
}

/// Goes on at a guest address, given in place of an entry, if the jump cache knows where that leads
/// now; else returns to `SystemHart`. Its bit 0 counts as 0: no slot holds an odd address.
fn dispatch(b: &mut FunctionBuilder<'_>, params: &[Value], region: &Signature) {
    // Entry sizes and the address's unit are powers of two: one shift does for both.
    const SHIFT: u32 = size_of::<JumpSlot>().trailing_zeros() - 1;
    const MASK: usize = (JUMP_SLOTS - 1) * size_of::<JumpSlot>();
    let trusted = MemFlagsData::trusted();
    let &[context, target, sp, a0] = params else {
        return;
    };
    let load = |b: &mut FunctionBuilder<'_>, from: Value, at: usize| {
        b.ins().load(types::I64, trusted, from, at as i32)
    };
    let scaled = b.ins().ishl_imm_u(target, i64::from(SHIFT));
    let spread = load(b, context, offset::SPREAD);
    let index = b.ins().bxor(scaled, spread);
    let index = b.ins().band_imm_u(index, MASK as i64);
    let slots = load(b, context, offset::JUMPS);
    let slot = b.ins().iadd(slots, index);
    let found = load(b, slot, offset_of!(JumpSlot, pc));
    let other = b.ins().bxor(found, target);
    let key = load(b, context, offset::KEY);
    let noted = load(b, slot, offset_of!(JumpSlot, key));
    let changed = b.ins().bxor(noted, key);
    let either = b.ins().bor(other, changed);
    let hit = b.ins().icmp_imm_u(IntCC::Equal, either, 0);
    let (go, stop) = (b.create_block(), b.create_block());
    b.set_cold_block(stop);
    b.ins().brif(hit, go, &[], stop, &[]);
    b.seal_block(go);
    b.seal_block(stop);
    b.switch_to_block(go);
    b.ins().store(trusted, target, context, offset::TARGET);
    let function = load(b, slot, offset_of!(JumpSlot, function));
    let entry = load(b, slot, offset_of!(JumpSlot, entry));
    let region = b.import_signature(region.clone());
    b.ins()
        .return_call_indirect(region, function, &[context, entry, sp, a0]);
    b.switch_to_block(stop);
    let even = b.ins().band_imm_s(target, -2);
    b.ins().store(trusted, even, context, offset::PC);
    let result = b.ins().iconst(types::I64, code::MISSING as i64);
    b.ins().return_(&[result]);
}

#[expect(clippy::result_large_err, reason = "the error is Cranelift's")]
fn define(
    module: &mut JITModule,
    context: &mut cranelift_codegen::Context,
    builder: &mut FunctionBuilderContext,
    signature: &Signature,
    body: impl FnOnce(&mut FunctionBuilder<'_>, &[cranelift_codegen::ir::Value], &mut JITModule),
) -> ModuleResult<FuncId> {
    module.clear_context(context);
    context.func.signature = signature.clone();
    // Local: calls between functions of the module are relative, as the executable view needs.
    let id = module.declare_anonymous_function(signature)?;
    let mut b = FunctionBuilder::new(&mut context.func, builder);
    let entry = b.create_block();
    b.append_block_params_for_function_params(entry);
    b.switch_to_block(entry);
    b.seal_block(entry);
    let params = b.block_params(entry).to_vec();
    body(&mut b, &params, module);
    b.finalize(module.target_config());
    module.define_function(id, context)?;
    Ok(id)
}
